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
    if cell and cell.value and not (cell.expires and cell.expires <= now) then
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

local function is_pause(name)
    return string.sub(name, 1, #PAUSES) == PAUSES
end

-- Something changes what a session may lease: what it knows of queues that are not for it is looked at again.
local function steer()
    call('HSET', META, 'schema', SCHEMA, 'steered', number())
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
    if is_pause(name) then
        call('SREM', PREFIX .. 'pauses', name)
        steer()
    end
    if cell and cell.owner then
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
    if is_pause(name) then
        call('SADD', PREFIX .. 'pauses', name)
        steer()
    end
end

-- Writes a cell whatever its version. Returns the new one, or nothing if the session that owns the cell is gone. Only a
-- pause makes other nodes look: nothing else that a cell holds changes what they do.
local function put_cell(put)
    if is_pause(put.name) then
        mark('control')
    end
    if not put.value then
        remove_cell(put.name)
        return '0'
    end
    if put.owner and call('EXISTS', key('s', put.owner)) == 0 then
        return nil
    end
    -- A version that was used is not used again, whatever became of the cell.
    local cell = { version = number(), value = put.value, owner = put.owner }
    cell.expires = put.expires_in and now + put.expires_in
    save_cell(put.name, cell)
    return cell.version
end

-- Removes the cells that go with a session.
local function drop_owned(session)
    for _, name in ipairs(call('SMEMBERS', key('own', session))) do
        remove_cell(name)
    end
end

-- The value of the pause that covers a job, in JSON: the narrowest of them; and whether the pause ends by itself.
local is_any_paused
local pauses_by_pattern = {}
local function paused(name)
    if is_any_paused == nil then
        -- As a rule nothing is paused.
        is_any_paused = call('EXISTS', PREFIX .. 'pauses') == 1
    end
    if not is_any_paused then
        return nil
    end
    local group = string.match(name, '^([^.]*)') .. '.*'
    for _, pattern in ipairs({ name, group, '*' }) do
        if pauses_by_pattern[pattern] == nil then
            pauses_by_pattern[pattern] = cell_of(PAUSES .. pattern) or false
        end
        local cell = pauses_by_pattern[pattern]
        if cell then
            return cell.value, cell.expires or cell.owner
        end
    end
    return nil
end
