-- Looking after the indexes, some records in each step, in turns: a key that was taken away (by hand, or by a server that
-- removes keys when it is full) is made again from what speaks of it, and what speaks of nothing is removed.
--
-- `audit`   hash: where the turns are

local audit
do

-- So many records of each index are looked at in one step, and of so many jobs so many of each index that is theirs.
local AUDITED, JOBS = 10, 3

-- The next members of a sorted set. `name`: what keeps the place.
local function next_of(name, index)
    local from = tonumber(call('HGET', PREFIX .. 'audit', name) or 0)
    local found = call('ZRANGE', index, from, from + AUDITED - 1)
    call('HSET', PREFIX .. 'audit', name, #found < AUDITED and 0 or from + AUDITED)
    return found
end

-- The next `n` fields of a hash, and their values in turn. A page of the server may have more of them.
local function next_in(name, of, n)
    local turn = call('HGET', PREFIX .. 'audit', name) or '0/0'
    local cursor, from = string.match(turn, '^(%d+)/(%d+)$')
    local page = call('HSCAN', of, cursor, 'COUNT', n)
    local all, some, to = page[2], {}, 2 * (tonumber(from) + n)
    for i = to - 2 * n + 1, math.min(to, #all) do
        some[#some + 1] = all[i]
    end
    local next_turn = to < #all and cursor .. '/' .. text(to / 2) or page[1] .. '/0'
    call('HSET', PREFIX .. 'audit', name, next_turn)
    return some
end

-- A job that has two numbers, because its name was lost and given again, has one.
local function audit_name(job)
    local name = job and name_of(job) or ''
    if name == '' then
        return
    end
    if call('HSETNX', PREFIX .. 'jobs', name, job) == 1 then
        numbers_of_jobs[name] = job
    elseif known_job(name) ~= job then
        merge(job, known_job(name))
    end
end

local function audit_run(id)
    local run = run_of(id)
    if not run then
        call('ZREM', PREFIX .. 'runs', id)
        call('ZREM', PREFIX .. 'ended', id)
        call('SREM', PREFIX .. 'cancels', id)
        call('HDEL', PREFIX .. 'cancelling', id)
        return
    end
    audit_name(run.job)
    run.job = home(run.job)
    call('ZADD', PREFIX .. 'runs', id, id)
    call('ZADD', key('jr', run.job), id, id)
    if run.over then
        call('SREM', PREFIX .. 'cancels', id)
        if not call('ZSCORE', key('jf', run.job), id) then
            call('ZADD', key('jf', run.job), number(), id)
        end
        return
    end
    if is_busy(run) then
        call('ZADD', key('jb', run.job), id, id)
    end
    if all_ended(run) then
        call('ZADD', PREFIX .. 'ended', id, id)
    end
    for _, together in ipairs({ id, 'c' .. id }) do
        if call('EXISTS', key('d', together)) == 1 and not call('ZSCORE', key('due', run.job), together) then
            find_due(run.job, together)
        end
    end
end

-- A line of a job stands in the order of all.
local function audit_line(id)
    local line = line_of(id)
    if not line.job then
        line = recover_line(id)
    end
    if not line or line.kind == STAGED then
        return
    end
    if line.kind == ASIDE then
        call('SADD', PREFIX .. 'aside', id)
    end
    local run = line.kind == WORK_LINE and call('HGET', key('n', id), 'run')
    run = run and run ~= '0' and run_of(run)
    if is_cancelled(run) then
        call('HSETNX', PREFIX .. 'cancelling', run.id, pack({ line = 1, at = 0 }))
        return
    end
    if call('EXISTS', key('q', id), key('z', id)) == 0 then
        -- What stood in it is lost.
        restand(line)
        return
    end
    local stands = line.rank and line.turn and line.number
        and call('ZSCORE', PREFIX .. 'heads', head_member(line)) and call('ZSCORE', key('jh', line.job), id)
    if not stands then
        line.turn, line.number = line.turn or number(), line.number or '0'
        unstand(line)
        restand(line)
    end
end

-- Sessions that hold something of a job have leases, and are taken back once they have expired.
local function audit_held(job)
    for field in pairs(fields_of(key('held', job))) do
        local session = string.match(field, '^(%x+)')
        if session and call('EXISTS', leases_of(session)) == 0 then
            call('HDEL', key('held', job), field)
            call('HDEL', key('s', session), 'holds', 'suspects')
        elseif session and not call('ZSCORE', PREFIX .. 'sessions', session) then
            call('ZADD', PREFIX .. 'sessions', GONE_AT, session)
        end
    end
end

-- Whether a session holds something of a run. Where there is too much to look through it may be so.
local function is_held(run)
    local looked = 0
    for _, id in ipairs(call('ZRANGE', PREFIX .. 'sessions', 0, -1)) do
        looked = looked + call('HLEN', leases_of(id))
        if looked > STEP_RECORDS then
            return true
        end
        for _, token in ipairs(tokens_of(id)) do
            local lease = held(id, token)
            if not lease or lease.chunk.number == run.id then
                return true
            end
        end
    end
    return false
end

-- Nothing of a job is ready, waits or is in flight: a run of it that has not ended has lost its items.
local function audit_rest(job, over)
    for _, of in ipairs({ key('jh', job), key('due', job), key('held', job) }) do
        if call('EXISTS', of) == 1 then
            return
        end
    end
    for _, counter in ipairs({ 'ready', 'delayed' }) do
        call('HDEL', job_key(job), counter)
    end
    local newest = call('ZREVRANGE', key('jr', job), 0, AUDITED - 1)
    for _, id in ipairs(next_of('jr:' .. job, key('jr', job))) do
        newest[#newest + 1] = id
    end
    for _, id in ipairs(newest) do
        local run = run_of(id)
        local is_looked_after = run and call('HEXISTS', PREFIX .. 'cancelling', id) == 1
        if run and not is_looked_after and not run.over and not all_ended(run) and not is_held(run) then
            local lost = count_of(run, 'total')
            for _, field in ipairs(ENDS) do
                lost = lost - count_of(run, field)
            end
            if run.filling then
                unstage(run)
                unset(run, 'filling')
                set(run, 'query_failed', '1')
            end
            raise(run, 'dead', math.max(lost, 0))
            set(run, 'fresh', '0')
            count_errors(run, id .. '-0', math.max(lost, 1), { kind = 'Undecodable', message = GONE })
            over[#over + 1] = id
        end
    end
end

local function audit_job(name, job, over)
    if not call('HGET', job_key(job), 'name') then
        call('HSET', job_key(job), 'name', name)
        names[job] = name
    end
    for _, id in ipairs(call('ZRANGE', key('jh', job), 0, AUDITED - 1)) do
        if not call('HGET', key('n', id), 'job') and not recover_line(id) then
            call('ZREM', key('jh', job), id)
        else
            audit_line(id)
        end
    end
    local lines = next_in('lines:' .. job, key('jl', job), AUDITED)
    for i = 2, #lines, 2 do
        audit_line(lines[i])
    end
    if call('EXISTS', key('jl', job)) == 0 then
        call('HDEL', PREFIX .. 'audit', 'lines:' .. job, 'jr:' .. job)
    end
    find_due(job, '0')
    for _, id in ipairs(call('ZRANGE', key('jb', job), 0, AUDITED - 1)) do
        if not run_of(id) then
            call('ZREM', key('jb', job), id)
        end
    end
    for _, id in ipairs(call('ZREVRANGE', key('jr', job), 0, AUDITED - 1)) do
        if run_of(id) then
            audit_run(id)
        else
            call('ZREM', key('jr', job), id)
        end
    end
    for _, item in ipairs(call('ZREVRANGE', key('jx', job), 0, AUDITED - 1)) do
        local grave = call('HGET', key('x', item), 'number')
        if grave then
            call('ZADD', PREFIX .. 'dead', grave, item)
            call('SADD', PREFIX .. 'with_dead', job)
        else
            exhume(job, { item })
        end
    end
    audit_held(job)
    audit_rest(job, over)
end

local function audit_dead(item)
    local found = call('HMGET', key('x', item), 'chunk', 'number', 'died')
    local chunk = found[1] and unpacked(found[1])
    if not chunk or not found[2] then
        call('ZREM', PREFIX .. 'dead', item)
        return
    end
    local job = home(chunk.job)
    call('ZADD', key('jx', job), found[2], item)
    call('ZADD', key('jd', job), found[3] or text(now), item)
    call('SADD', PREFIX .. 'with_dead', job)
end

local function audit_cell(name, bytes)
    local cell = unpacked(bytes)
    if not cell then
        return
    end
    call('ZADD', PREFIX .. 'names', 0, name)
    if cell.expires then
        call('ZADD', PREFIX .. 'expiring', text(cell.expires), name)
    end
    if cell.owner then
        call('SADD', key('own', cell.owner), name)
    end
    if is_pause(name) and call('SADD', PREFIX .. 'pauses', name) == 1 then
        steer()
    end
end

-- What the caller links is known, and found by its name.
local function audit_links(session)
    local links = next_in('links', key('k', session.id), AUDITED)
    for i = 1, #links, 2 do
        local name, link = links[i], unpacked(links[i + 1])
        call('SADD', key('by', name), session.id)
        local job = known_job(name)
        if link and job and call('HEXISTS', job_key(job), 'name') == 0 then
            call('HSET', job_key(job), 'name', name, 'link', link.json, 'keep_ticks', link.keep_ticks, 'keep_runs',
                link.keep_runs, 'keep_dead', text(link.keep_dead), 'priority', link.priority)
        end
    end
end

-- Looks after some of everything. `over` gets the runs that may be over.
function audit(session, over)
    write_counts()
    write_runs()
    list_deaths()
    for _, head in ipairs(call('ZRANGE', PREFIX .. 'heads', 0, AUDITED - 1)) do
        audit_name(call('HGET', key('n', string.sub(head, 33)), 'job') or nil)
    end
    for _, id in ipairs(next_of('runs', PREFIX .. 'runs')) do
        audit_run(id)
    end
    audit_links(session)
    local jobs = next_in('jobs', PREFIX .. 'jobs', JOBS)
    for i = 1, #jobs, 2 do
        audit_job(jobs[i], jobs[i + 1], over)
    end
    for _, item in ipairs(next_of('dead', PREFIX .. 'dead')) do
        audit_dead(item)
    end
    local cells = next_in('cells', PREFIX .. 'cells', AUDITED)
    for i = 1, #cells, 2 do
        audit_cell(cells[i], cells[i + 1])
    end
    for _, id in ipairs(call('SRANDMEMBER', PREFIX .. 'cancels', AUDITED)) do
        if not run_of(id) then
            call('SREM', PREFIX .. 'cancels', id)
            call('HDEL', PREFIX .. 'cancelling', id)
        end
    end
end

end
