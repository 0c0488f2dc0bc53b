-- Removes what is past what its job keeps, and cells that have expired: at most `limit` records of each kind, shared by the
-- jobs that have too many.

-- So many chunks of what was dropped are deleted besides.
local SWEPT = 256
-- So many jobs are looked at in one step.
local JOBS = 200

local limit, removed, is_more = math.min(ask.limit, STEP_RECORDS), 0, false

local function prune_cells()
    local names = call('ZRANGEBYSCORE', PREFIX .. 'expiring', '-inf', text(now), 'LIMIT', 0, limit)
    for _, name in ipairs(names) do
        if not cell_of(name) then
            remove_cell(name)
        end
        call('ZREM', PREFIX .. 'expiring', name)
    end
    removed = removed + #names
    is_more = is_more or #names == limit and limit > 0
end

-- The jobs of a set, some of them if there are very many.
local function jobs_of(of)
    if call('SCARD', of) > JOBS then
        return call('SRANDMEMBER', of, JOBS)
    end
    local jobs = call('SMEMBERS', of)
    table.sort(jobs)
    return jobs
end

local function share_of(jobs)
    return math.max(math.floor(limit / math.max(#jobs, 1)), math.min(limit, 1))
end

-- How many of so many are to be removed, of what is left to remove.
local function bounded(n, share, left)
    return math.max(math.min(n, share, left), 0)
end

local function prune_history()
    local jobs = jobs_of(PREFIX .. 'overfull')
    local share, ticks_left, runs_left = share_of(jobs), limit, limit
    for _, job in ipairs(jobs) do
        local keeps = call('HMGET', job_key(job), 'keep_ticks', 'keep_runs')
        local ticks = call('LLEN', key('tk', job)) - tonumber(keeps[1] or KEEP_TICKS)
        local n = bounded(ticks, share, ticks_left)
        if n > 0 then
            call('LTRIM', key('tk', job), n, -1)
        end
        local over = call('ZCARD', key('jf', job)) - tonumber(keeps[2] or KEEP_RUNS)
        local m = bounded(over, share, runs_left)
        if m > 0 then
            forget_runs(job, call('ZRANGE', key('jf', job), 0, m - 1))
        end
        ticks_left, runs_left, removed = ticks_left - n, runs_left - m, removed + n + m
        if ticks <= n and over <= m then
            call('SREM', PREFIX .. 'overfull', job)
        end
    end
    is_more = is_more or call('EXISTS', PREFIX .. 'overfull') == 1
end

local function prune_dead()
    local jobs = jobs_of(PREFIX .. 'with_dead')
    local share, left, waits = limit, limit, {}
    for _, job in ipairs(jobs) do
        local keep = tonumber(call('HGET', job_key(job), 'keep_dead') or KEEP_DEAD)
        local past = call('ZCOUNT', key('jd', job), '-inf', '(' .. text(now - keep))
        if past > 0 then
            waits[#waits + 1] = { job = job, past = past }
        elseif call('EXISTS', key('jx', job)) == 0 then
            call('SREM', PREFIX .. 'with_dead', job)
        end
    end
    share = share_of(waits)
    for _, one in ipairs(waits) do
        local n = bounded(one.past, share, left)
        exhume(one.job, n > 0 and call('ZRANGE', key('jd', one.job), 0, n - 1) or {})
        left, removed = left - n, removed + n
        is_more = is_more or n < one.past or #jobs == JOBS
    end
end

even_if_full()
prune_cells()
prune_history()
prune_dead()
sweep(SWEPT)
return answer({ text(removed), is_more and 1 or 0 })
