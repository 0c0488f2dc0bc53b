-- Removes at most `limit` records that are past what their job keeps, and cells that have expired.

-- So many chunks of what was dropped are deleted besides.
local SWEPT = 256

local left = ask.limit

local function prune_cells()
    for _, name in ipairs(call('ZRANGEBYSCORE', PREFIX .. 'expiring', '-inf', text(now), 'LIMIT', 0, left)) do
        remove_cell(name)
        left = left - 1
    end
end

local function prune_history(job)
    local keeps = call('HMGET', job_key(job), 'keep_ticks', 'keep_runs')
    local ticks = call('LLEN', key('tk', job)) - tonumber(keeps[1] or KEEP_TICKS)
    local n = math.max(math.min(ticks, left), 0)
    if n > 0 then
        call('LTRIM', key('tk', job), n, -1)
        left = left - n
    end
    local over = call('ZCARD', key('jf', job)) - tonumber(keeps[2] or KEEP_RUNS)
    local m = math.max(math.min(over, left), 0)
    for _, run in ipairs(m > 0 and call('ZRANGE', key('jf', job), 0, m - 1) or {}) do
        forget_run(run)
        left = left - 1
    end
    if ticks <= n and over <= m then
        call('SREM', PREFIX .. 'overfull', job)
    end
end

local function prune_dead(job)
    local keep = tonumber(call('HGET', job_key(job), 'keep_dead') or KEEP_DEAD)
    local until_then = '(' .. text(now - keep)
    for _, item in ipairs(call('ZRANGEBYSCORE', key('jd', job), '-inf', until_then, 'LIMIT', 0, left)) do
        exhume(job, item)
        left = left - 1
    end
end

local function each(of, prune)
    local all = call('SMEMBERS', PREFIX .. of)
    table.sort(all)
    for _, job in ipairs(all) do
        if left == 0 then
            return
        end
        prune(job)
    end
end

even_if_full()
prune_cells()
each('overfull', prune_history)
each('with_dead', prune_dead)
sweep(SWEPT)
return answer({ text(ask.limit - left) })
