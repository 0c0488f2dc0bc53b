-- Which declaration of a schedule is in force.

-- Keeps how a job is linked now.
local function link_job(link)
    local job = job_of(link.job)
    call('HSET', job_key(job), 'name', link.job, 'link', link.json, 'keep_ticks', link.keep_ticks, 'keep_runs', link.keep_runs,
        'keep_dead', text(link.keep_dead), 'priority', link.priority)
    check_history(job)
end

-- Whether a live session, but for that one, declares a schedule so.
local function is_declared(name, fingerprint, but)
    for _, session in ipairs(linked_by(name, but)) do
        local link = link_of(session.id, name)
        if link and link.fingerprint == fingerprint then
            return true
        end
    end
    return false
end

-- The declarations of a job that were in force before, oldest first.
local function superseded_of(job)
    local found = call('HGET', job_key(job), 'superseded')
    return found and unpacked(found) or {}
end

local function contains(values, wanted)
    for _, value in ipairs(values) do
        if value == wanted then
            return true
        end
    end
    return false
end

-- Puts another declaration in force.
local function redeclare(schedule, fingerprint)
    local superseded = {}
    for _, other in ipairs(superseded_of(schedule.job)) do
        if other ~= fingerprint then
            superseded[#superseded + 1] = other
        end
    end
    superseded[#superseded + 1] = schedule.fingerprint
    if #superseded > SUPERSEDED then
        table.remove(superseded, 1)
    end
    call('HSET', job_key(schedule.job), 'fingerprint', fingerprint, 'superseded', pack(superseded),
        'cursor', text(math.max(schedule.cursor, now)))
    call('HDEL', job_key(schedule.job), 'waiting')
end

-- Makes a declaration the current one, if it is new or a rollback. Gives the instant of a schedule that was past before
-- it was first seen.
local function declare(link, session)
    local fingerprint = link.fingerprint
    if not fingerprint then
        return nil
    end
    local current, first = schedule_of(link.job), true
    if current then
        if current.fingerprint == fingerprint then
            return nil
        end
        if contains(superseded_of(current.job), fingerprint) then
            if is_declared(link.job, current.fingerprint, session) then
                return nil
            end
            first = false
        end
        redeclare(current, fingerprint)
    else
        call('HSET', job_key(job_of(link.job)), 'fingerprint', fingerprint, 'cursor', text(now))
    end
    local past = link.instant
    if not (past and first and past <= now) then
        return nil
    end
    record(schedule_of(link.job), { { tick = past, last = past, count = 1, verdict = MISSED } })
    return past
end

-- Whether the cursor of a schedule is ahead of the clock, as callers are told it. One that is too far ahead is set back,
-- and a cell keeps where it stood.
local function look_ahead(link)
    local schedule = link.fingerprint and schedule_of(link.job)
    if not schedule or schedule.cursor <= now then
        return nil
    end
    local is_set_back = schedule.cursor - now > SET_BACK
    if is_set_back then
        call('HSET', job_key(schedule.job), 'cursor', text(now))
        call('HDEL', job_key(schedule.job), 'waiting', 'fired', 'fired_run', 'fired_by')
        local value = '{"cursor":' .. text(schedule.cursor) .. ',"set_back":' .. text(now) .. '}'
        put_cell({ name = AHEAD .. link.job, value = value })
    end
    return { link.job, text(schedule.cursor), is_set_back and 1 or 0 }
end
