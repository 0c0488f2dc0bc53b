-- A job under a new name, and a deploy that takes the name back.
--
-- `renamed`   hash: what jobs are called now, by their former names

-- Moves a sorted set into another one.
local function move_sorted(from, to, aggregate)
    if call('EXISTS', from) == 1 then
        call('ZUNIONSTORE', to, 2, to, from, 'AGGREGATE', aggregate)
        call('DEL', from)
    end
end

-- Moves a counter, and whatever else a hash counts.
local function move_counts(from, to)
    for field, n in pairs(fields_of(from)) do
        call('HINCRBY', to, field, n)
    end
    call('DEL', from)
end

-- What the new name has already, it keeps.
local function move_schedule(from, to)
    local fields = { 'fingerprint', 'cursor', 'waiting', 'superseded', 'fired', 'fired_run', 'fired_by' }
    local old = fields_of(job_key(from))
    if not old.fingerprint or call('HEXISTS', job_key(to), 'fingerprint') == 1 then
        call('DEL', key('tk', from))
        return
    end
    for _, field in ipairs(fields) do
        if old[field] then
            call('HSET', job_key(to), field, old[field])
        end
    end
    call('DEL', key('tk', to))
    if call('EXISTS', key('tk', from)) == 1 then
        call('RENAME', key('tk', from), key('tk', to))
    end
end

-- Lines that both have become one.
local function move_lines(from, to)
    for its_tag, id in pairs(fields_of(key('jl', from))) do
        local line, there = line_of(id), call('HGET', key('jl', to), its_tag)
        local rank, of_run = line.rank, line.number
        unstand(line)
        if there then
            move_sorted(key('z', id), key('z', there), 'MAX')
            call('HINCRBY', key('n', there), 'items', line.items)
            call('DEL', key('n', id))
            call('SREM', PREFIX .. 'aside', id)
            restand(line_of(there))
        else
            line.job = to
            call('HSET', key('n', id), 'job', to)
            call('HSET', key('jl', to), its_tag, id)
            if rank then
                stand(line, rank, of_run)
            end
        end
    end
    call('DEL', key('jl', from))
end

-- Moves all that belongs to a job to another one that is there.
local function merge(from, to)
    write_counts()
    write_runs()
    move_schedule(from, to)
    for _, index in ipairs({ 'jr', 'jb', 'jf', 'jx', 'jd' }) do
        move_sorted(key(index, from), key(index, to), 'MAX')
    end
    if call('SREM', PREFIX .. 'with_dead', from) == 1 then
        call('SADD', PREFIX .. 'with_dead', to)
    end
    call('SREM', PREFIX .. 'overfull', from)
    for _, counter in ipairs({ 'ready', 'delayed' }) do
        call('HINCRBY', job_key(to), counter, call('HGET', job_key(from), counter) or 0)
    end
    move_counts(key('held', from), key('held', to))
    move_sorted(waiting_key(from, '0'), waiting_key(to, '0'), 'MIN')
    move_sorted(key('due', from), key('due', to), 'MIN')
    call('ZREM', PREFIX .. 'due', from)
    local next_due = call('ZRANGE', key('due', to), 0, 0, 'WITHSCORES')[2]
    if next_due then
        call('ZADD', PREFIX .. 'due', next_due, to)
    end
    -- From here on whatever says the old number means the new one.
    call('HSET', PREFIX .. 'moved', from, to)
    call('HSET', META, 'moved', 1)
    known[3], homes = '1', {}
    for id, run in pairs(runs) do
        if run and run.job == from then
            run.job = to
        end
    end
    move_lines(from, to)
    call('DEL', job_key(from))
    check_history(to)
end

-- A job that is paused stays paused under its new name; a pause that the new name has wins.
local function move_pause(was, name)
    local found = call('HGET', PREFIX .. 'cells', PAUSES .. was)
    if not found then
        return
    end
    local cell = unpacked(found)
    if cell and call('HEXISTS', PREFIX .. 'cells', PAUSES .. name) == 0 then
        save_cell(PAUSES .. name, cell)
    end
    remove_cell(PAUSES .. was)
end

local function move_job(was, name)
    local from, to = known_job(was), known_job(name)
    if not from then
        return
    end
    if to then
        merge(from, to)
    else
        call('HSET', PREFIX .. 'jobs', name, from)
        call('HSET', job_key(from), 'name', name)
        numbers_of_jobs[name] = from
    end
    call('HDEL', PREFIX .. 'jobs', was)
    numbers_of_jobs[was], names = nil, {}
    move_pause(was, name)
    steer()
    mark('work')
end

-- Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old name, a tick
-- would fire under both. What they hold they settle by its token, as ever.
local function rename(link)
    if not link.was or link.was == link.job then
        return
    end
    call('HDEL', PREFIX .. 'renamed', link.job)
    call('HSET', PREFIX .. 'renamed', link.was, link.job)
    move_job(link.was, link.job)
end

-- Whether a job gives way to its new name, because a live session renames it. When none is left and nobody links the new
-- name, the deploy was rolled back: the job takes back what belongs to it. When somebody does, the former name was given
-- to another job.
local function gives_way(link, session)
    local name = call('HGET', PREFIX .. 'renamed', link.job)
    if not name then
        return false
    end
    local newer = call('HGET', PREFIX .. 'renamed', name)
    while newer do
        name, newer = newer, call('HGET', PREFIX .. 'renamed', newer)
    end
    local linked = {}
    for _, other in ipairs(linked_by(name, session)) do
        linked[#linked + 1] = link_of(other.id, name)
    end
    for _, beside in ipairs(ask.links) do
        if beside.job == name then
            linked[#linked + 1] = beside
        end
    end
    for _, other in ipairs(linked) do
        if other.was then
            return true
        end
    end
    call('HDEL', PREFIX .. 'renamed', link.job)
    if #linked == 0 then
        move_job(name, link.job)
    end
    return false
end
