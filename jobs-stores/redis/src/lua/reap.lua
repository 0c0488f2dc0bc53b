-- Takes the items of expired sessions back, ends items that no live build can decode, and goes on with what other steps
-- have left.

-- So many sessions, runs and lines are looked at in one step.
local LOOKED_AT = 100
-- An item that dies is written in so many places: as so many records it counts.
local WRITES_OF_A_DEATH = 4

local reaped, caller = new_reaped(), session_of(ask.session)
if not is_alive(caller) or now - caller.connected < caller.lease then
    return answer(reaped_told(reaped))
end

-- Whether every one of these builds, of which there is one at least, is among those that have failed.
local function have_all_failed(builds, failed)
    local knows = {}
    for _, build in ipairs(failed) do
        knows[build] = true
    end
    for build in pairs(builds) do
        if not knows[build] then
            return false
        end
    end
    return next(builds) ~= nil
end

local function live_builds(job)
    local builds = {}
    for _, session in ipairs(linked_by(name_of(job))) do
        builds[session.build] = true
    end
    return builds
end

-- Whether every live build that links a job has failed to decode an item, for long enough, as
-- `jobs_core::is_undecodable` says.
local function is_hopeless(failed, builds)
    local is_long_ago = failed and (now - failed.since >= UNDECODABLE_AFTER or failed.since - now > UNDECODABLE_AFTER)
    return is_long_ago and have_all_failed(builds, failed.builds)
end

-- Kills the items of a chunk, as many as the step may; the others stay.
local function bury_chunk(line, bytes, chunk)
    take_out(line, bytes, chunk)
    local n = math.min(chunk.count, math.ceil(budget / WRITES_OF_A_DEATH))
    if n < chunk.count then
        store(part_of(chunk, n, chunk.count))
    end
    kill(part_of(chunk, 0, n), 'Undecodable', chunk.undecodable.message, '', reaped.dead, reaped.ended)
    budget = budget - n * WRITES_OF_A_DEATH
end

-- Kills what is hopeless in a line, the oldest first.
local function bury_undecodable(line, builds)
    local of, earliest, is_changed = key('z', line.id), now + UNDECODABLE_AFTER, false
    for _, bytes in ipairs(call('ZRANGE', of, 0, budget - 1)) do
        local chunk = of_member(bytes)
        if chunk and budget > 0 and is_hopeless(chunk.undecodable, builds) then
            bury_chunk(line, bytes, chunk)
            is_changed = true
        elseif chunk and chunk.undecodable then
            earliest = math.min(earliest, chunk.undecodable.since + UNDECODABLE_AFTER)
        end
    end
    if is_changed then
        restand(line)
    else
        -- Nothing of it is hopeless before.
        call('HSET', key('n', line.id), 'look_at', text(earliest))
    end
end

local function look_at_aside(id)
    local line = line_of(id)
    if not line.job then
        call('SREM', PREFIX .. 'aside', id)
        return
    end
    local look_at = tonumber(call('HGET', key('n', id), 'look_at') or 0)
    local is_read, failed = pcall(cjson.decode, line.builds)
    if (look_at <= now or look_at > now + UNDECODABLE_AFTER) and is_read then
        local builds = live_builds(line.job)
        if have_all_failed(builds, failed) then
            bury_undecodable(line, builds)
        end
    end
end

-- Some members of a set, in their order.
local function some_of(of)
    local found
    if call('SCARD', of) > LOOKED_AT then
        found = call('SRANDMEMBER', of, LOOKED_AT)
    else
        found = call('SMEMBERS', of)
    end
    table.sort(found)
    return found
end

even_if_full()
set_sessions_right()
set_waits_right()
local expired = call('ZRANGEBYSCORE', PREFIX .. 'sessions', '-inf', '(' .. text(now), 'LIMIT', 0, LOOKED_AT)
table.sort(expired)
for _, id in ipairs(expired) do
    if budget > 0 then
        bring_back(id, reaped)
    end
end
local cancelling = call('HKEYS', PREFIX .. 'cancelling')
for i = 1, math.min(#cancelling, LOOKED_AT) do
    local run = budget > 0 and run_of(cancelling[i])
    if is_cancelled(run) then
        local is_more = end_waiting(run, reaped.ended)
        if is_more then
            budget = 0
        end
    elseif budget > 0 then
        call('HDEL', PREFIX .. 'cancelling', cancelling[i])
    end
end
for _, id in ipairs(some_of(PREFIX .. 'aside')) do
    if budget > 0 then
        look_at_aside(id)
    end
end
audit(caller, reaped.ended)
if #expired == LOOKED_AT then
    -- There may be others.
    budget = 0
end
return answer(reaped_told(reaped))
