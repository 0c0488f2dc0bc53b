-- Deleting, little by little, what was dropped in one piece: what a query staged that failed, and what waited of a run
-- that was cancelled.

-- Deletes at most `limit` chunks.
local function sweep(limit)
    while limit > 0 do
        local id = call('LINDEX', PREFIX .. 'dropped', 0)
        if not id then
            return
        end
        local found = call('LPOP', key('q', id), math.min(limit, 1000)) or {}
        for _, bytes in ipairs(found) do
            local chunk = unpacked(bytes)
            has_ended(chunk, chunk.count)
        end
        limit = limit - #found
        if #found == 0 then
            call('LPOP', PREFIX .. 'dropped')
        end
    end
end
