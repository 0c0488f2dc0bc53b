-- Leasing: which ready items a session gets.

-- The room of a session in one call, as `jobs_core::ledger::Room` keeps it.
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

-- Runs that may be over by what was found while leasing.
local over_at_grant = {}
-- What became of asking a line for a lease, if it gave none: something stood before what may be leased and was taken out;
-- or nothing of the line is for this session, for longer than this call.
local AGAIN, NEVER = 'again', 'never'

-- Takes the first chunk out of a line if it is for nobody, and says so.
local function is_put_away(line, chunk, back)
    local run = not chunk.tracked and run_of(chunk.number) or nil
    if is_cancelled(run) then
        take(line, chunk, back, chunk.count)
        end_attempt(chunk, { kind = 'cancelled' }, over_at_grant)
    elseif not run and not chunk.tracked and chunk.stage == FILL then
        -- Its run has lost its record, so nothing could be appended. One that is over may have been pruned before its finish
        -- item was leased.
        take(line, chunk, back, chunk.count)
    elseif is_newer(chunk) ~= (line.kind == NEWER) then
        take(line, chunk, back, chunk.count)
        store(chunk)
        if line.kind ~= NEWER then
            mark('unread')
        end
    else
        return false
    end
    budget = budget - 1
    return true
end

-- Whether nothing of this line is for that build.
local function excludes(line, build)
    if line.kind == ASIDE then
        local is_read, builds = pcall(cjson.decode, line.builds)
        for _, failed in ipairs(is_read and builds or {}) do
            if failed == build then
                return true
            end
        end
    end
    return line.kind == STAGED
end

-- The items of the first chunk whose payload the server has lost are dead: there is nothing to work on.
local function lose(line, chunk, back)
    local message = 'its payload is gone: the server has removed the key that held it'
    take(line, chunk, back, chunk.count)
    budget = budget - chunk.count
    kill(chunk, 'Undecodable', message, '', {}, over_at_grant)
    return nil, AGAIN
end

-- Leases from the front of a line: all that may be had of its first chunk. With `only`, of that run. Returns the lease, and
-- the lines that were moved behind those that tie; or nothing, and what became of it.
local function grant_from(line, session, only)
    local name = name_of(line.job)
    local link = link_of(session.id, name)
    if not link or excludes(line, session.build) then
        return nil, NEVER
    end
    local pause, ends = paused(name)
    if pause then
        return nil, not ends and NEVER or nil
    end
    if line.kind == WORK_LINE and room_left(name, link, WORK) <= 0 then
        return nil
    end
    local chunk, back = first_chunk(line)
    if not chunk then
        restand(line)
        return nil, AGAIN
    end
    chunk.job = line.job
    if is_put_away(line, chunk, back) then
        return nil, AGAIN
    end
    -- Where a newer version put it, it is for the newer version.
    if line.kind == NEWER then
        return nil, NEVER
    end
    if only and (chunk.tracked or chunk.number ~= only) then
        return nil
    end
    if chunk.suspect then
        write_counts()
        if tonumber(call('HGET', key('s', session.id), 'suspects') or 0) > 0 then
            return nil
        end
    end
    local n = room_for(chunk, name, link)
    if n <= 0 then
        return nil
    end
    local part = part_of(chunk, 0, n)
    local bytes = payload(part)
    if part.body and not bytes then
        return lose(line, chunk, back)
    end
    take_room(name, link, chunk.stage, n)
    local rank = line.rank
    take(line, chunk, back, n)
    return lease_to(session.id, part, bytes), end_turn(line.job, rank)
end

-- So many lines are asked in one step at the most that are not known to be for somebody else.
local ASKED = 500
-- A line that was not for a session is asked again after so many milliseconds, whatever happens.
local REMEMBERED = 10000

-- The lines that are known not to be for a session: of jobs that it does not link, that are paused, of builds like its own
-- that could not decode. What changes that changes the name of the set.
local function refusals_of(session)
    return key('sk', session.id .. ':' .. (session.linked_at or '0') .. ':' .. (known[4] or '0'))
end

-- Of some heads, those that are known not to be for the session.
local function refused_of(refusals, heads)
    local ids = {}
    for i, head in ipairs(heads) do
        ids[i] = string.sub(head, 33)
    end
    local found, refused = call('SMISMEMBER', refusals, unpack(ids)), {}
    for i, id in ipairs(ids) do
        refused[id] = found[i] == 1 or nil
    end
    return refused
end

-- The lines of the runs of a job that is full: none of them is asked any more. Where there are very many, each is asked when
-- it is met.
local function close_lines(job, closed)
    if call('HLEN', key('jl', job)) > STEP_RECORDS then
        return
    end
    local all = call('HGETALL', key('jl', job))
    for i = 1, #all, 2 do
        local is_of_runs = string.sub(all[i], 1, 2) == WORK_LINE .. '/' and all[i] ~= tag(WORK_LINE, '0', '')
        if is_of_runs then
            closed[all[i + 1]] = true
        end
    end
end

local function remember(refusals, never)
    for from = 1, #never, VARIADIC do
        call('SADD', refusals, unpack(never, from, math.min(from + VARIADIC - 1, #never)))
    end
    if #never > 0 then
        call('PEXPIRE', refusals, REMEMBERED)
    end
end

-- Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie. Returns too
-- whether lines were left that nobody asked.
local function grant(session)
    local leases = {}
    if not is_alive(session) or not is_open() then
        return leases, false
    end
    local from = tonumber(session.asked_from or 0)
    local passed, closed, full, at, size, asked, never = {}, {}, {}, from, 1, 0, {}
    local refusals = refusals_of(session)
    local is_known = call('EXISTS', refusals) == 1
    while is_open() and budget > 0 and asked < ASKED do
        local page = call('ZRANGE', PREFIX .. 'heads', at, at + size - 1)
        local refused = is_known and size > 1 and #page > 0 and refused_of(refusals, page) or {}
        local is_moved = false
        for _, head in ipairs(page) do
            local id = string.sub(head, 33)
            local lease, moved
            if not passed[id] and not closed[id] and not refused[id] then
                local line = line_of(id)
                asked = asked + 1
                if not line.job then
                    line = recover_line(id, head)
                    if line then
                        restand(line)
                    end
                    moved = AGAIN
                else
                    lease, moved = grant_from(line, session)
                end
                if moved == NEVER then
                    never[#never + 1] = id
                elseif not lease and not moved and line.kind == WORK_LINE then
                    if full[line.job] then
                        close_lines(line.job, closed)
                    end
                    full[line.job] = true
                end
            end
            if lease then
                leases[#leases + 1], budget, asked = lease, budget - 1, asked - 1
                -- Those that were passed over and stand behind now are met again.
                for _, other in ipairs(moved) do
                    at = at - (passed[other] and 1 or 0)
                end
            end
            if lease or moved == AGAIN then
                is_moved = true
                break
            end
            -- Nothing of this line for this session now; what follows it may still be had.
            passed[id] = true
            at = at + 1
            if asked >= ASKED then
                break
            end
        end
        if #page < size and not is_moved then
            break
        end
        size = is_moved and 1 or math.min(4 * size, 128)
    end
    if #never >= 8 then
        remember(refusals, never)
    end
    -- What could not be asked in this call is asked first in the next.
    local goes_on = asked >= ASKED and is_open()
    if goes_on or from > 0 then
        call('HSET', key('s', session.id), 'asked_from', goes_on and at or 0)
    end
    return leases, goes_on or from > 0 or budget <= 0
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
    for _, id in ipairs(call('ZRANGE', key('jh', job), 0, 63)) do
        local line = line_of(id)
        local first = firsts[line.kind]
        if line.job and line.rank and line.number and (not first or line.rank < first.rank
            or (line.rank == first.rank and padded(line.number) < padded(first.number))) then
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
