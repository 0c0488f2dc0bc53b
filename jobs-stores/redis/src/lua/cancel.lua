-- Cancels a run: its waiting items at once, its running ones when they are settled.

local run = run_of(ask.run)
if not run then
    return answer({ 'none' })
elseif run.over or all_ended(run) then
    return answer({ 'over' })
end

local function cancel_chunk(chunk)
    end_attempt(chunk, { kind = 'cancelled' }, {})
end

-- What waits for its time, whatever there is, in one small step: it is counted, and deleted little by little.
local function cancel_delayed()
    local waiting = call('HMGET', key('r', run.id), 'waiting', 'waiting_fresh')
    local items, fresh = tonumber(waiting[1] or 0), tonumber(waiting[2] or 0)
    if items > 0 then
        raise(run, 'cancels', items)
        raise(run, 'fresh', -math.min(fresh, count_of(run, 'fresh')))
        add(job_key(run.job), 'delayed', -items)
        call('HDEL', key('r', run.id), 'waiting', 'waiting_fresh')
        local id = number()
        call('RENAME', key('d', run.id), key('z', id))
        call('RPUSH', PREFIX .. 'dropped', id)
        find_due(run.job, run.id)
    end
end

-- A fill item that waits for its next attempt.
local function cancel_delayed_query()
    local together = 'c' .. run.id
    for _, bytes in ipairs(call('ZRANGE', key('d', together), 0, -1)) do
        local chunk = of_member(bytes)
        call('ZREM', key('d', together), bytes)
        count_waiting(chunk, -chunk.count)
        cancel_chunk(chunk)
    end
    find_due(run.job, together)
end

-- What stands in a line and came there by itself: retried, given back, or the first item of the run.
local function cancel_returned(line)
    local of = key('z', line.id)
    for _, bytes in ipairs(call('ZRANGE', of, 0, -1)) do
        local chunk = of_member(bytes)
        if chunk.number == run.id and not chunk.tracked then
            take_out(line, bytes, chunk)
            cancel_chunk(chunk)
        end
    end
end

-- All that the query found and nobody has touched, whatever there is, in one small step: their first attempt was still
-- to come.
local function cancel_found(line)
    local items = line_of(line.id).items
    raise(run, 'cancels', items)
    raise(run, 'fresh', -math.min(items, count_of(run, 'fresh')))
    add(job_key(run.job), 'ready', -items)
    drop_line(line)
end

even_if_full()
set(run, 'cancelled', '1')
call('SADD', PREFIX .. 'cancels', run.id)
-- What was found so far is dropped; the fill item ends when it is settled.
local lease = run.fill_lease
unstage(run)
if run.filling and lease then
    set(run, 'fill_lease', lease)
end
cancel_delayed()
cancel_delayed_query()
local own = find_line(run.job, WORK_LINE, run.id, '')
for _, id in ipairs(call('ZRANGE', key('jh', run.job), 0, -1)) do
    local line = line_of(id)
    cancel_returned(line)
    if id == own then
        cancel_found(line)
    else
        restand(line)
    end
end
mark('control')
return answer({ 'cancelled' })
