-- Cells: versioned named values.
--
-- `cells`           hash: by name, the `version`, the `value` in JSON, when it `expires`, its `owner`
-- `names`           zset, all of one score: their names in the order of their bytes
-- `expiring`        zset: when those expire that do
-- `own:<session>`   set: those that go with a session
-- `pauses`          set: the names of those that are pauses

-- A cell, unless it has expired.
local function cell_of(name)
    local found = call('HGET', PREFIX .. 'cells', name)
    local cell = found and unpacked(found)
    if cell and not (cell.expires and cell.expires <= now) then
        return cell
    end
    return nil
end

-- A cell as callers are told it.
local function cell_told(cell)
    if not cell then
        return {}
    end
    return { cell.version, cell.value, cell.expires and text(cell.expires) or '', cell.owner or '' }
end

local function remove_cell(name)
    local found = call('HGET', PREFIX .. 'cells', name)
    if not found then
        return
    end
    local cell = unpacked(found)
    call('HDEL', PREFIX .. 'cells', name)
    call('ZREM', PREFIX .. 'names', name)
    call('ZREM', PREFIX .. 'expiring', name)
    call('SREM', PREFIX .. 'pauses', name)
    if cell.owner then
        call('SREM', key('own', cell.owner), name)
    end
end

-- Stores a cell in place of what is there.
local function save_cell(name, cell)
    remove_cell(name)
    call('HSET', PREFIX .. 'cells', name, pack(cell))
    call('ZADD', PREFIX .. 'names', 0, name)
    if cell.expires then
        call('ZADD', PREFIX .. 'expiring', text(cell.expires), name)
    end
    if cell.owner then
        call('SADD', key('own', cell.owner), name)
    end
    if string.sub(name, 1, #PAUSES) == PAUSES then
        call('SADD', PREFIX .. 'pauses', name)
    end
end

-- Writes a cell whatever its version, and gives the new one; nothing if the session that it would go with is no more.
local function put_cell(put)
    if not put.value then
        remove_cell(put.name)
        mark('control')
        return '0'
    end
    if put.owner and call('EXISTS', key('s', put.owner)) == 0 then
        return nil
    end
    -- A version that was used is not used again, whatever became of the cell.
    local cell = { version = number(), value = put.value, owner = put.owner }
    cell.expires = put.expires_in and now + put.expires_in
    save_cell(put.name, cell)
    mark('control')
    return cell.version
end

-- Removes the cells that go with a session.
local function drop_owned(session)
    for _, name in ipairs(call('SMEMBERS', key('own', session))) do
        remove_cell(name)
    end
end

-- The value of the pause that covers a job, in JSON: the narrowest of them.
local function paused(name)
    -- As a rule nothing is paused.
    if call('EXISTS', PREFIX .. 'pauses') == 0 then
        return nil
    end
    local group = string.match(name, '^([^.]*)') .. '.*'
    for _, pattern in ipairs({ name, group, '*' }) do
        local cell = cell_of(PAUSES .. pattern)
        if cell then
            return cell.value
        end
    end
    return nil
end
