-- Ending what waits of a cancelled run.

local function cancel_chunk(chunk, over)
    end_attempt(chunk, { kind = 'cancelled' }, over)
end

-- What waits for its time, whatever there is, in one small step: it is counted, and deleted little by little.
local function cancel_delayed(run)
    local waiting = call('HMGET', key('r', run.id), 'waiting', 'waiting_fresh')
    local items, fresh = tonumber(waiting[1] or 0), tonumber(waiting[2] or 0)
    if items <= 0 then
        return
    end
    raise(run, 'cancels', items)
    raise(run, 'fresh', -math.min(fresh, count_of(run, 'fresh')))
    add(job_key(run.job), 'delayed', -items)
    call('HDEL', key('r', run.id), 'waiting', 'waiting_fresh')
    if call('EXISTS', key('d', run.id)) == 1 then
        local id = number()
        call('RENAME', key('d', run.id), key('z', id))
        call('RPUSH', PREFIX .. 'dropped', id)
    end
    find_due(run.job, run.id)
end

-- A fill item that waits for its next attempt.
local function cancel_delayed_query(run, over)
    local together = 'c' .. run.id
    for _, bytes in ipairs(call('ZRANGE', key('d', together), 0, STEP_RECORDS - 1)) do
        local chunk = of_member(bytes)
        call('ZREM', key('d', together), bytes)
        if chunk then
            count_waiting(chunk, -chunk.count)
            cancel_chunk(chunk, over)
        end
    end
    find_due(run.job, together)
end

-- What stands in the run's own line: what was touched one by one, and then all that the query found and nobody has
-- touched, in one small step: its first attempt was still to come.
local function cancel_own(run, over)
    local id = find_line(run.job, WORK_LINE, run.id, '')
    local line = id and line_of(id)
    if not line or not line.job then
        return true
    end
    unstand(line)
    call('HDEL', key('n', id), 'rank')
    local found = call('ZRANGE', key('z', id), 0, budget - 1)
    if #found > 0 then
        call('ZREMRANGEBYRANK', key('z', id), 0, #found - 1)
    end
    for _, bytes in ipairs(found) do
        local chunk = of_member(bytes)
        budget = budget - 1
        if chunk then
            count_items(line, -chunk.count)
            cancel_chunk(chunk, over)
        end
    end
    if call('EXISTS', key('z', id)) == 1 then
        return false
    end
    local items = line_of(id).items
    raise(run, 'cancels', items)
    raise(run, 'fresh', -math.min(items, count_of(run, 'fresh')))
    add(job_key(run.job), 'ready', -items)
    drop_line(line)
    return true
end

-- The lines in which items of several runs stand: of what is no work, of suspects, of what was not decoded.
local function shared_lines(job)
    local all = {}
    for _, kind in ipairs({ CONTROL, SUSPECT }) do
        all[#all + 1] = find_line(job, kind, '0', '') or nil
    end
    local cursor, rounds = '0', 0
    repeat
        local page = call('HSCAN', key('jl', job), cursor, 'MATCH', ASIDE .. '/*', 'COUNT', 2 * STEP_RECORDS)
        cursor, rounds = page[1], rounds + 1
        for i = 2, #page[2], 2 do
            all[#all + 1] = page[2][i]
        end
    until cursor == '0' or rounds == 5
    return all
end

-- Looks through a line, from a place on, for what is of the run. Returns where it stopped; nothing at the end of the line.
local function cancel_in(run, id, at, over)
    local line, of, mine, changed = line_of(id), key('z', id), padded(run.id), false
    local found = call('ZRANGE', of, at, at + STEP_RECORDS - 1)
    for _, bytes in ipairs(found) do
        local is_mine = string.sub(bytes, 1, 16) == mine
        local chunk = is_mine and budget > 0 and of_member(bytes) or nil
        if is_mine and budget <= 0 then
            break
        elseif chunk and not chunk.tracked then
            take_out(line, bytes, chunk)
            cancel_chunk(chunk, over)
            budget, changed = budget - 1, true
        else
            at = at + 1
        end
    end
    if changed then
        restand(line)
    end
    return (#found == STEP_RECORDS or budget <= 0) and at or nil
end

-- Ends what waits of a cancelled run, as much as the step may. Returns whether there is more.
local function end_waiting(run, over)
    local before = call('HGET', PREFIX .. 'cancelling', run.id)
    local kept = before and unpacked(before) or { line = 1, at = 0 }
    local is_done = cancel_own(run, over)
    cancel_delayed(run)
    cancel_delayed_query(run, over)
    if is_done then
        -- No more is looked through in one step.
        local pages, lines = 4, shared_lines(run.job)
        while lines[kept.line] and pages > 0 and budget > 0 do
            local at = cancel_in(run, lines[kept.line], kept.at, over)
            kept = at and { line = kept.line, at = at } or { line = kept.line + 1, at = 0 }
            pages = pages - 1
        end
        is_done = not lines[kept.line]
    end
    if is_done then
        call('HDEL', PREFIX .. 'cancelling', run.id)
    else
        call('HSET', PREFIX .. 'cancelling', run.id, pack(kept))
    end
    return not is_done
end
