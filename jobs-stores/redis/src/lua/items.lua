-- The items of a run that have not ended: those in flight, those that are ready, those that wait for their time. Of each
-- kind so many are told as it takes to show `limit` items.

local run = run_of(ask.run)
if not run then
    return answer({})
end

-- A fill or finish item is numbered like the first item of the run.
local most = ask.limit + 2
local listed = {}

local function is_of_run(chunk)
    return chunk.number == run.id and not chunk.tracked
end

-- Tells the first of some chunks.
local function tell(found, state_of_them)
    table.sort(found, function(a, b)
        if a.chunk.stage ~= b.chunk.stage then
            return a.chunk.stage < b.chunk.stage
        end
        return a.chunk.start < b.chunk.start
    end)
    local items = 0
    for _, one in ipairs(found) do
        if items >= most then
            return
        end
        local shown = part_of(one.chunk, 0, math.min(one.chunk.count, most))
        items = items + shown.count
        listed[#listed + 1] = { state_of_them, one.since or '', one.node or '', told(shown), one.settled or '' }
    end
end

local function in_flight_items()
    local found = {}
    for _, id in ipairs(call('ZRANGE', PREFIX .. 'sessions', 0, -1)) do
        for _, token in ipairs(call('HKEYS', leases_of(id))) do
            local lease = held(id, token)
            if is_of_run(lease.chunk) then
                found[#found + 1] = {
                    chunk = lease.chunk,
                    since = text(lease.granted),
                    node = session_of(id).name,
                    settled = lease.settled,
                }
            end
        end
    end
    return found
end

local function ready_items()
    local found = {}
    for _, id in ipairs(call('ZRANGE', key('jh', run.job), 0, -1)) do
        for _, bytes in ipairs(call('ZRANGE', key('z', id), 0, -1)) do
            local chunk = of_member(bytes)
            if is_of_run(chunk) then
                found[#found + 1] = { chunk = chunk }
            end
        end
    end
    local own = find_line(run.job, WORK_LINE, run.id, '')
    for _, bytes in ipairs(own and call('LRANGE', key('q', own), 0, most - 1) or {}) do
        found[#found + 1] = { chunk = of_element(bytes) }
    end
    return found
end

local function delayed_items()
    local found = {}
    for _, together in ipairs({ run.id, 'c' .. run.id }) do
        for _, bytes in ipairs(call('ZRANGE', key('d', together), 0, -1)) do
            local chunk = of_member(bytes)
            found[#found + 1] = { chunk = chunk, since = text(chunk.due) }
        end
    end
    return found
end

tell(in_flight_items(), 'in flight')
tell(ready_items(), 'ready')
tell(delayed_items(), 'delayed')
return answer(listed)
