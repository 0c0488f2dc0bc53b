-- Deleting, little by little, what was dropped in one piece: what a query staged that failed, and what waited of a run
-- that was cancelled.

-- Deletes some chunks of what came back into a dropped line, and returns how many records that were: the failed attempts
-- of each item are one.
local function sweep_returned(id, limit)
    local records, deleted = 0, 0
    for _, bytes in ipairs(call('ZRANGE', key('z', id), 0, limit - 1)) do
        if records >= limit then
            break
        end
        local chunk = of_member(bytes)
        deleted, records = deleted + 1, records + 1
        if chunk then
            if (chunk.attempt or 0) > 0 or (chunk.crashes or 0) > 0 then
                forget_failures(chunk)
                records = records + chunk.count - 1
            end
            has_ended(chunk, chunk.count)
        end
    end
    if deleted > 0 then
        call('ZREMRANGEBYRANK', key('z', id), 0, deleted - 1)
    end
    return records
end

-- Deletes some chunks of a dropped line, and returns how many records that were.
local function sweep_line(id, limit)
    local found = call('LPOP', key('q', id), limit) or {}
    for _, bytes in ipairs(found) do
        local chunk = of_element(bytes)
        if chunk then
            has_ended(chunk, chunk.count)
        end
    end
    return #found > 0 and #found or sweep_returned(id, limit)
end

-- Deletes about `limit` records.
local function sweep(limit)
    while limit > 0 do
        local id = call('LINDEX', PREFIX .. 'dropped', 0)
        if not id then
            return
        end
        local swept = sweep_line(id, limit)
        limit = limit - math.max(swept, 1)
        if swept == 0 then
            call('LPOP', PREFIX .. 'dropped')
        end
    end
end
