-- The records of runs.
--
-- `r:<run>`    hash: `job`, `trigger`, `tick`, `started`, the counts, how far its filling is, how it ended
-- `runs`       zset by number: all of them
-- `jr:<job>`   zset by number: those of a job
-- `jb:<job>`   zset by number: those that are busy, and hold the ticks of their job
-- `jf:<job>`   zset: those that are over, in the order of their ends
-- `ended`      zset by number: those of which all items have ended and that nobody completed
-- `requests`   hash: those by hand, by the caller's id
-- `filled`     hash: those whose query went through, by the lease under which it did
-- `cancels`    set: those that were cancelled and are not over
-- `cancelling` hash: those of them of which something may still wait, and how far that was looked for

local ENDS = { 'ok', 'dead', 'discarded', 'expired', 'cancels' }
local runs = {}

-- A run; nothing if there is none.
local function run_of(id)
    local run = runs[id]
    if run == nil then
        run = fields_of(key('r', id))
        if run.job then
            run.id, run.dirty, run.gone = id, {}, {}
            run.job = home(run.job)
        else
            run = false
        end
        runs[id] = run
    end
    return run or nil
end

local function set(run, field, value)
    run[field] = value
    run.dirty[field] = value
    run.gone[field] = nil
end

local function unset(run, field)
    if run[field] then
        run[field], run.dirty[field], run.gone[field] = nil, nil, true
    end
end

local function count_of(run, field)
    return tonumber(run[field] or 0)
end

local function raise(run, field, n)
    if n ~= 0 then
        set(run, field, text(count_of(run, field) + n))
    end
end

-- While it fills, or an item's first attempt is not settled, it holds the ticks of its job.
local function is_busy(run)
    return not run.over and (run.filling or count_of(run, 'fresh') > 0) and true or false
end

-- Whether it was cancelled and is not over: nothing of it is leased or tried again. What comes after its end is.
local function is_cancelled(run)
    return run and run.cancelled and not run.over
end

-- Whether filling is over and every item has ended.
local function all_ended(run)
    if run.over or run.filling then
        return false
    end
    local ended = 0
    for _, field in ipairs(ENDS) do
        ended = ended + count_of(run, field)
    end
    return ended >= count_of(run, 'total')
end

-- Writes the runs that were changed, and puts them into the indexes that they belong in.
local function write_runs()
    for id, run in pairs(runs) do
        if run and run.counted then
            set(run, 'errors', pack(run.groups))
            run.counted = nil
        end
        if run and (next(run.dirty) or next(run.gone)) then
            local busy, ended = is_busy(run), all_ended(run)
            if busy ~= (run.busy == '1') then
                set(run, 'busy', busy and '1' or '0')
                call(busy and 'ZADD' or 'ZREM', key('jb', run.job), unpack(busy and { id, id } or { id }))
                mark('runs')
            end
            if ended ~= (run.ended == '1') then
                set(run, 'ended', ended and '1' or '0')
                call(ended and 'ZADD' or 'ZREM', PREFIX .. 'ended', unpack(ended and { id, id } or { id }))
            end
            local flat = {}
            for field, value in pairs(run.dirty) do
                flat[#flat + 1], flat[#flat + 2] = field, value
            end
            if #flat > 0 then
                call('HSET', key('r', id), unpack(flat))
            end
            for field in pairs(run.gone) do
                call('HDEL', key('r', id), field)
            end
            run.dirty, run.gone = {}, {}
        end
    end
end
at_end[#at_end + 1] = write_runs

-- Stores a new run.
local function new_run(id, fields)
    fields.started = text(now)
    call('ZADD', PREFIX .. 'runs', id, id)
    call('ZADD', key('jr', fields.job), id, id)
    if fields.request then
        call('HSET', PREFIX .. 'requests', fields.request, id)
    end
    local run = { id = id, dirty = {}, gone = {} }
    runs[id] = run
    for field, value in pairs(fields) do
        set(run, field, value)
    end
    return run
end

-- The run of a job that holds its ticks, the oldest of them. One that has lost its record holds nothing.
local function busy_run(job)
    write_runs()
    while true do
        local id = call('ZRANGE', key('jb', job), 0, 0)[1]
        if not id or run_of(id) then
            return id
        end
        call('ZREM', key('jb', job), id)
    end
end

-- Forgets runs of a job.
local function forget_runs(job, ids)
    local requests, filled, keys = {}, {}, {}
    for i, id in ipairs(ids) do
        local run = run_of(id)
        requests[#requests + 1] = run and run.request
        filled[#filled + 1] = run and run.filled
        keys[i] = key('r', id)
        runs[id] = false
    end
    local function remove(command, of, fields)
        if #fields > 0 then
            call(command, of, unpack(fields))
        end
    end
    remove('HDEL', PREFIX .. 'requests', requests)
    remove('HDEL', PREFIX .. 'filled', filled)
    remove('ZREM', PREFIX .. 'runs', ids)
    for _, index in ipairs({ 'jr', 'jb', 'jf' }) do
        remove('ZREM', key(index, job), ids)
    end
    call('UNLINK', unpack(keys))
end

-- Counts failed attempts that say the same. Messages beyond those that are told apart are counted in one group for each
-- kind. The groups are written once, at the end of the step.
local function count_errors(run, item, n, failure)
    run.groups = run.groups or (run.errors and unpacked(run.errors)) or {}
    local groups, told_apart, group, others = run.groups, 0, nil, nil
    for _, other in ipairs(groups) do
        if other.message ~= OTHERS then
            told_apart = told_apart + 1
        elseif other.kind == failure.kind then
            others = other
        end
        if other.kind == failure.kind and other.message == failure.message then
            group = other
            break
        end
    end
    group = group or (told_apart >= MAX_GROUPS and others or nil)
    if not group then
        local message = told_apart < MAX_GROUPS and failure.message or OTHERS
        group = { kind = failure.kind, message = message, count = 0, sample = item }
        groups[#groups + 1] = group
    end
    group.count = group.count + n
    run.counted = true
end

-- A run as callers are told it: its number, the name of its job, and its fields one after another.
local function run_told(run)
    local flat = { run.id, name_of(run.job) }
    for field, value in pairs(run) do
        if type(value) == 'string' and field ~= 'errors' and field ~= 'cursor' then
            flat[#flat + 1], flat[#flat + 2] = field, value
        end
    end
    local errors = {}
    for i, group in ipairs(run.groups or (run.errors and unpacked(run.errors)) or {}) do
        errors[i] = { group.kind, group.message, text(group.count), group.sample }
    end
    return { flat, errors }
end
