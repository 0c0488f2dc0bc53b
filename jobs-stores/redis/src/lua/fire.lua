-- Fires ticks and manual runs: the cursor, the verdicts of the ticks passed over, the run and its first item.

local session = ask.session and session_of(ask.session) or nil
local by = ask.session or ''

-- The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
local function first_lease(id)
    local run = run_of(id)
    if not run or not session or run.first_by ~= by then
        return nil
    end
    return held(by, run.first_token)
end

local function fired(run, lease)
    return { 'fired', run, lease and lease_told(lease) or {} }
end

-- The answer to a tick that was decided already, or is not to be yet.
local function decided(fire)
    local schedule = schedule_of(fire.schedule)
    if not schedule then
        return { 'stale' }
    end
    if schedule.fired == fire.tick and schedule.fired_by == by then
        return fired(schedule.fired_run, first_lease(schedule.fired_run))
    end
    if schedule.fingerprint ~= fire.fingerprint then
        return { 'stale' }
    end
    if schedule.cursor ~= fire.cursor or fire.tick <= fire.cursor then
        return { 'already', state(schedule) }
    end
    local at = math.max(fire.at, fire.tick)
    if at > now then
        return { 'not yet', text(at - now) }
    end
    return nil
end

-- What becomes of a tick while a run of its job is busy.
local function held_up(fire)
    local schedule = fire.schedule and schedule_of(fire.schedule)
    if not schedule then
        return
    end
    record(schedule, fire.passed)
    if fire.if_busy == 'skip' then
        record(schedule, { { tick = fire.tick, last = fire.tick, count = 1, verdict = SKIPPED } })
    elseif fire.if_busy == 'queue' then
        call('HSET', job_key(schedule.job), 'waiting', text(fire.tick))
    end
end

-- Why a fire makes no run, if it does not.
local function refused(fire)
    if fire.request then
        local run = call('HGET', PREFIX .. 'requests', fire.request)
        if run then
            return fired(run, first_lease(run))
        end
    else
        local known_answer = decided(fire)
        if known_answer then
            return known_answer
        end
    end
    local note = paused(fire.job)
    if note then
        return { 'paused', note }
    end
    local job = known_job(fire.job)
    local busy = job and fire.if_busy ~= 'fire' and busy_run(job)
    if busy then
        held_up(fire)
        return { 'busy', busy }
    end
    return nil
end

-- Moves the cursor to the tick that fires.
local function move_cursor(fire, run)
    local schedule = schedule_of(fire.schedule)
    record(schedule, fire.passed)
    record(schedule, { { tick = fire.tick, last = fire.tick, count = 1, verdict = fire.verdict, run = run } })
    call('HSET', job_key(schedule.job), 'fired', text(fire.tick), 'fired_run', run, 'fired_by', by)
end

-- Stores a run, and gives its first item, which is still to be stored.
local function begin(fire, id)
    local job, first = job_of(fire.job), fire.first
    local items = first.stage == FILL and '0' or '1'
    new_run(id, {
        job = job,
        trigger = first.trigger,
        tick = first.tick and text(first.tick) or nil,
        note = fire.note,
        request = fire.request,
        total = items,
        fresh = items,
        filling = first.stage == FILL and '1' or nil,
    })
    first.job, first.number, first.enqueued_at, first.due = job, id, now, first.tick or now
    first.start, first.at, first.count = 0, 0, 1
    return first
end

local function fire_one(fire)
    local why_not = refused(fire)
    if why_not then
        return why_not
    end
    local id = number()
    if fire.schedule then
        move_cursor(fire, id)
    end
    local first = begin(fire, id)
    local lease = session and grant_at_once(session, first)
    if not lease then
        store(first)
        lease = session and grant_first(session, first.job, id)
    end
    if lease then
        local run = run_of(id)
        set(run, 'first_by', by)
        set(run, 'first_token', lease.token)
    end
    return fired(id, lease)
end

local firings = {}
for i, fire in ipairs(ask.fires) do
    firings[i] = fire_one(fire)
end
return answer(firings)
