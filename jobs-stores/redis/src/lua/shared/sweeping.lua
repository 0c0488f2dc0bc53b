-- Deleting, little by little, what was dropped in one piece: what a query staged that failed, and what waited of a run
-- that was cancelled.

-- Deletes some chunks of a dropped line, and says how many.
local function sweep_line(id, limit)
    local found = call('LPOP', key('q', id), limit) or {}
    for _, bytes in ipairs(found) do
        local chunk = unpacked(bytes)
        has_ended(chunk, chunk.count)
    end
    if #found > 0 then
        return #found
    end
    local returned = call('ZPOPMIN', key('z', id), limit)
    for i = 1, #returned, 2 do
        local chunk = of_member(returned[i])
        forget_failures(chunk)
        has_ended(chunk, chunk.count)
    end
    return #returned / 2
end

-- Deletes at most `limit` chunks.
local function sweep(limit)
    while limit > 0 do
        local id = call('LINDEX', PREFIX .. 'dropped', 0)
        if not id then
            return
        end
        local swept = sweep_line(id, limit)
        limit = limit - swept
        if swept == 0 then
            call('LPOP', PREFIX .. 'dropped')
        end
    end
end
