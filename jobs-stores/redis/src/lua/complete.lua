-- Ends runs whose filling is over and whose every item has ended; with `finish`, creates the finish item of each.

-- The state in which a run ends.
local function verdict(run)
    local total, dead = count_of(run, 'total'), count_of(run, 'dead')
    if run.cancelled then
        return 'Cancelled'
    elseif run.query_failed or (dead > 0 and dead == total) then
        return 'Failed'
    end
    return dead > 0 and 'Partial' or 'Succeeded'
end

-- The finish item: what it is given is the run as it stands now. As `jobs_core::Header::of_finish` has it.
local function store_finish(run)
    store({
        format = FORMAT,
        job = run.job,
        number = run.id,
        trigger = run.trigger,
        tick = tonumber(run.tick or nil),
        stage = FINISH,
        priority = tonumber(call('HGET', job_key(run.job), 'priority') or 0),
        due = now,
        item_type = 'RunReport',
        start = 0,
        enqueued_at = now,
        at = 0,
        count = 1,
        report = run_told(run),
    })
end

local function complete(id, finish)
    local run = run_of(id)
    if not run then
        call('ZREM', PREFIX .. 'ended', id)
        return { 'unknown' }
    elseif run.over then
        return { 'already', run_told(run) }
    elseif not all_ended(run) then
        return { 'open' }
    end
    set(run, 'over', verdict(run))
    set(run, 'over_at', text(now))
    call('ZADD', key('jf', run.job), number(), run.id)
    if run.cancelled then
        call('SREM', PREFIX .. 'cancels', run.id)
        call('HDEL', PREFIX .. 'cancelling', run.id)
    end
    check_history(run.job)
    mark('runs')
    if finish then
        store_finish(run)
    end
    return { 'completed', run_told(run) }
end

even_if_full()
local completions = {}
for i, one in ipairs(ask.runs) do
    completions[i] = complete(one.run, one.finish)
end
return answer(completions)
