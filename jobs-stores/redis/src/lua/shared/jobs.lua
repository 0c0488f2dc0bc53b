-- What is known of jobs, and where their schedules stand.
--
-- `jobs`        hash: the number of each job, by name
-- `j:<job>`     hash: `name`, `link`, how much of its history is kept, its cursor, how many items wait
-- `moved`       hash: the number of the job that took over what belonged to this one
-- `tk:<job>`    list: the verdicts of its ticks, oldest first
-- `overfull`    set: jobs that have more history than they keep
-- `held:<job>`  hash: how many items each session holds of it: of runs, `:t` tracked ones, `:c` fill and finish items

-- The job that has what belonged to this one.
local homes = {}
local function home(job)
    if not known[3] then
        return job
    end
    local found = homes[job]
    if not found then
        found = job
        local next = call('HGET', PREFIX .. 'moved', found)
        while next do
            found = next
            next = call('HGET', PREFIX .. 'moved', found)
        end
        homes[job] = found
    end
    return found
end

-- The number of the job with this name, if it is known.
local numbers_of_jobs = {}
local function known_job(name)
    if numbers_of_jobs[name] == nil then
        numbers_of_jobs[name] = call('HGET', PREFIX .. 'jobs', name)
    end
    return numbers_of_jobs[name]
end

-- Where a job is kept.
local function job_key(job)
    return key('j', job)
end

-- The number of the job with this name; one that nobody has linked yet is made.
local function job_of(name)
    local job = known_job(name)
    if not job then
        job = number()
        call('HSET', PREFIX .. 'jobs', name, job)
        call('HSET', job_key(job), 'name', name)
        numbers_of_jobs[name] = job
    end
    return job
end

local names = {}
local function name_of(job)
    local name = names[job]
    if not name then
        name = call('HGET', job_key(job), 'name') or ''
        names[job] = name
    end
    return name
end

-- Where the schedule of a job stands; nothing if it has none.
local function schedule_of(name)
    local job = known_job(name)
    if not job then
        return nil
    end
    local found = call('HMGET', job_key(job), 'fingerprint', 'cursor', 'waiting', 'fired', 'fired_run', 'fired_by')
    if not found[1] then
        return nil
    end
    return {
        job = job,
        fingerprint = found[1],
        cursor = tonumber(found[2]),
        waiting = tonumber(found[3] or nil),
        fired = tonumber(found[4] or nil),
        fired_run = found[5],
        fired_by = found[6],
    }
end

-- The schedule as callers see it.
local function state(schedule)
    return { text(schedule.cursor), schedule.waiting and text(schedule.waiting) or '', schedule.fingerprint }
end

-- Whether there is more history of a job than it keeps: then it is pruned.
local function check_history(job)
    local keeps = call('HMGET', job_key(job), 'keep_ticks', 'keep_runs')
    local ticks, runs = call('LLEN', key('tk', job)), call('ZCARD', key('jf', job))
    if ticks > tonumber(keeps[1] or KEEP_TICKS) or runs > tonumber(keeps[2] or KEEP_RUNS) then
        call('SADD', PREFIX .. 'overfull', job)
    end
end

local function record_one(job, verdict)
    local of = key('tk', job)
    -- What fired stands alone.
    local before = not verdict.run and call('LINDEX', of, -1)
    if before then
        local merged = unpacked(before)
        if merged and not merged.run and merged.verdict == verdict.verdict then
            merged.last, merged.count = verdict.last, merged.count + verdict.count
            call('LSET', of, -1, pack(merged))
            return
        end
    end
    call('RPUSH', of, pack(verdict))
    check_history(job)
end

-- Records verdicts, neighbours that say the same in one record, and moves on to the last of them.
local function record(schedule, verdicts)
    for _, verdict in ipairs(verdicts) do
        schedule.cursor = math.max(schedule.cursor, verdict.last)
        record_one(schedule.job, verdict)
    end
    if schedule.waiting and schedule.waiting <= schedule.cursor then
        schedule.waiting = nil
        call('HDEL', job_key(schedule.job), 'waiting')
    end
    call('HSET', job_key(schedule.job), 'cursor', text(schedule.cursor))
end
