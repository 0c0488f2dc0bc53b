-- Ends a run if filling is over and every item has ended; with `finish`, creates the finish item.

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

local run = run_of(ask.run)
if not run then
    return answer({ 'unknown' })
elseif run.over then
    return answer({ 'already', run_told(run) })
elseif not all_ended(run) then
    return answer({ 'open' })
end
even_if_full()
set(run, 'over', verdict(run))
set(run, 'over_at', text(now))
call('ZADD', key('jf', run.job), number(), run.id)
call('SREM', PREFIX .. 'cancels', run.id)
check_history(run.job)
mark('runs')
if ask.finish then
    store_finish(run)
end
return answer({ 'completed', run_told(run) })
