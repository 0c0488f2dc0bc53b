-- Leasing: which ready items a session gets.

-- The room of a session in one call, as `jobs_core::Room` keeps it.
local room = { slots = ask.want and ask.want.slots or 0, begun = 0, jobs = {}, wanted = {} }
for _, wanted in ipairs(ask.want and ask.want.jobs or {}) do
    room.wanted[wanted.job] = wanted
end

local function is_limited(link)
    return link.global or link.exclusive
end

local function slots_for(items, job)
    return math.ceil(items / job.per_slot)
end

-- The items that the slots begun for a job can still take.
local function begun(job)
    return slots_for(job.taken, job) * job.per_slot - job.taken
end

local function room_of(name, link)
    local job = room.jobs[name]
    if not job then
        local wanted = room.wanted[name]
        job = { slots = wanted and wanted.slots or link.concurrency, per_slot = 1, taken = 0 }
        if wanted and not is_limited(link) then
            job.per_slot = math.max(wanted.per_slot, 1)
        end
        room.jobs[name] = job
    end
    return job
end

-- How many items of a job there is room for.
local function room_left(name, link, stage)
    local wanted = room.wanted[name]
    if wanted and wanted.per_slot == 0 then
        return 0
    end
    if stage ~= WORK then
        return math.min(room.slots, 1)
    end
    local job = room_of(name, link)
    return math.min(job.slots * job.per_slot - job.taken, room.slots * job.per_slot + begun(job))
end

-- So many items of a job are leased.
local function take_room(name, link, stage, n)
    if stage ~= WORK then
        room.slots = room.slots - 1
        return
    end
    local job = room_of(name, link)
    local slots, before = slots_for(job.taken, job), begun(job)
    job.taken = job.taken + n
    room.slots = math.max(room.slots - (slots_for(job.taken, job) - slots), 0)
    room.begun = math.max(room.begun + begun(job) - before, 0)
end

local function is_open()
    return room.slots > 0 or room.begun > 0
end

-- How many more items of a job may be in flight over all sessions.
local function room_over_all(job, link, tracked)
    local left = math.huge
    if link.global then
        left = math.max(link.global - in_flight(job, false), 0)
    end
    -- Only runs are exclusive; what was enqueued one by one is not.
    if link.exclusive and not tracked then
        left = math.min(left, math.max(1 - in_flight(job, true), 0))
    end
    return left
end

-- How many items of a chunk there is room for.
local function room_for(chunk, name, link)
    local alike = (chunk.stage ~= WORK or chunk.suspect) and 1 or chunk.count
    local n = math.min(room_left(name, link, chunk.stage), alike)
    if n > 0 and chunk.stage == WORK and is_limited(link) then
        n = math.min(n, room_over_all(chunk.job, link, chunk.tracked))
    end
    return n
end

-- Whether nothing of this line is for that build.
local function excludes(line, build)
    if line.kind == ASIDE then
        for _, failed in ipairs(cjson.decode(line.builds)) do
            if failed == build then
                return true
            end
        end
    end
    return line.kind == NEWER
end

-- Leases from the front of a line: all that may be had of its first chunk. With `only`, of that run. Gives the lease,
-- and how many lines that were passed over before stand behind it now.
local function grant_from(line, session, only)
    local name = name_of(line.job)
    local link = link_of(session.id, name)
    if not link or excludes(line, session.build) or paused(name) then
        return nil
    end
    local chunk, back = first_chunk(line)
    -- Where a newer version put it, it is for the newer version.
    if not chunk or chunk.format > FORMAT or (only and (chunk.tracked or chunk.number ~= only)) then
        return nil
    end
    if line.kind == SUSPECT then
        write_counts()
        if tonumber(call('HGET', key('s', session.id), 'suspects') or 0) > 0 then
            return nil
        end
    end
    local n = room_for(chunk, name, link)
    if n <= 0 then
        return nil
    end
    take_room(name, link, chunk.stage, n)
    local rank = line.rank
    take(line, chunk, back, n)
    return lease_to(session.id, part_of(chunk, 0, n)), end_turn(line.job, rank)
end

-- Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
local function grant(session)
    local leases, passed, at = {}, {}, 0
    -- What one that has expired holds would not be counted: it has to be renewed first.
    while is_alive(session) and is_open() do
        local head = call('ZRANGE', PREFIX .. 'heads', at, at)[1]
        if not head then
            break
        end
        local id = string.sub(head, 33)
        local lease, moved
        if not passed[id] then
            lease, moved = grant_from(line_of(id), session)
        end
        if lease then
            leases[#leases + 1] = lease
            -- Those that were passed over and stand behind now are met again.
            for _, other in ipairs(moved) do
                at = at - (passed[other] and 1 or 0)
            end
        else
            -- Nothing of this line for this session now; what follows it may still be had.
            passed[id] = true
            at = at + 1
        end
    end
    return leases
end

-- Leases the first item of a run that was just made and stands nowhere yet, if there is room and nothing of the job is
-- ready: what `grant_first` does, without the way through a line. The job is not paused.
local function grant_at_once(session, chunk)
    if not is_alive(session) or not is_open() or chunk.due > now then
        return nil
    end
    local name = name_of(chunk.job)
    local link = link_of(session.id, name)
    if not link or call('EXISTS', key('jh', chunk.job)) == 1 or room_for(chunk, name, link) <= 0 then
        return nil
    end
    take_room(name, link, chunk.stage, 1)
    return lease_to(session.id, chunk)
end

-- Leases the first item of a run that was just made, if there is room and nothing of the job is before it: of the lines
-- of each kind, the first alone is asked.
local function grant_first(session, job, run)
    if not is_alive(session) or not is_open() then
        return nil
    end
    local firsts = {}
    for _, id in ipairs(call('ZRANGE', key('jh', job), 0, -1)) do
        local line = line_of(id)
        local first = firsts[line.kind]
        if not first or line.rank < first.rank
            or (line.rank == first.rank and padded(line.number) < padded(first.number)) then
            firsts[line.kind] = line
        end
    end
    for kind = CONTROL, NEWER do
        local lease = firsts[kind] and grant_from(firsts[kind], session, run)
        if lease then
            return lease
        end
    end
    return nil
end

local function leases_told(leases)
    local all = {}
    for i, lease in ipairs(leases) do
        all[i] = lease_told(lease)
    end
    return all
end
