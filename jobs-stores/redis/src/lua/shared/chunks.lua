-- Chunks: neighbouring items that are alike. Their payload stands in a body that is written once; a chunk says which of
-- its items, so that leasing some of them rewrites nothing. What a chunk does not say is at its default: absent.
--
-- `b:<body>`        string: where each item ends, 4 bytes each, unless it is one; then the items
-- `spent`           hash: how many items of a body have ended, once some and not all have
-- `d:<run>`         zset by due time: chunks of a run that wait for their time; `d:c<run>`: its fill or finish item;
--                   `d:<job>:0`: tracked items of a job
-- `due:<job>`       zset: when the first of each run of a job is due
-- `due`             zset: when the first of each job is due
-- `waits`           zset: since when those that wait together do, as job and run; the latest of them counts
-- `waits_at`        hash: how many of those were looked at while they are set right

-- Where an item of a body begins, counted from the first byte of them all.
local function offset_of(body, index)
    if index == 0 then
        return 0
    end
    local bytes = call('GETRANGE', body, 4 * (index - 1), 4 * index - 1)
    return #bytes == 4 and struct.unpack('>I4', bytes) or 0
end

-- The payload of a chunk's items, without looking at any of them; nothing for the item of a job that takes none, and
-- nothing if the server has lost it.
local function payload(chunk)
    if not chunk.body then
        return nil
    end
    local body = key('b', chunk.body)
    if chunk.whole == 1 then
        return call('GET', body) or nil
    end
    local items, bytes = 4 * chunk.whole, nil
    if chunk.count == chunk.whole then
        bytes = call('GETRANGE', body, items, -1)
    else
        local from, to = offset_of(body, chunk.at), offset_of(body, chunk.at + chunk.count)
        bytes = call('GETRANGE', body, items + from, items + to - 1)
    end
    return bytes ~= '' and bytes or nil
end

-- So many more items of a chunk's body have ended; with the last, it goes.
local function has_ended(chunk, n)
    if not chunk.body then
        return
    end
    if n < chunk.whole then
        if call('HINCRBY', PREFIX .. 'spent', chunk.body, n) < chunk.whole then
            return
        end
        call('HDEL', PREFIX .. 'spent', chunk.body)
    end
    call('DEL', key('b', chunk.body))
end

-- Some of a chunk's items, counted from 0 in it, as a chunk of their own.
local function part_of(chunk, from, to)
    local part = {}
    for field, value in pairs(chunk) do
        part[field] = value
    end
    part.at, part.start, part.count = chunk.at + from, chunk.start + from, to - from
    return part
end

local function item_of(chunk, index)
    return chunk.number .. '-' .. text(chunk.start + index)
end

-- The chunks that wait with this one stand together: the items of its run, its fill or finish item (`c` and the run),
-- or the tracked items of its job.
local function waiting_with(chunk)
    if chunk.tracked then
        return '0'
    end
    return chunk.stage == WORK and chunk.number or 'c' .. chunk.number
end

local function waiting_key(job, run)
    return key('d', run == '0' and job .. ':0' or run)
end

local function earlier(of, who, due)
    local before = call('ZSCORE', of, who)
    if not before or due < tonumber(before) then
        call('ZADD', of, text(due), who)
        return true
    end
    return false
end

-- Counts that more items of a job wait for their time, or fewer: also with their run, so that it is cancelled in one
-- small step.
local function count_waiting(chunk, n)
    add(job_key(chunk.job), 'delayed', n)
    if chunk.stage == WORK and not chunk.tracked then
        add(key('r', chunk.number), 'waiting', n)
        add(key('r', chunk.number), 'waiting_fresh', chunk.fresh and n or 0)
    end
end

-- Since when those wait that were put to wait in this step.
local waited = {}
local function write_waits()
    for group, since in pairs(waited) do
        call('ZADD', PREFIX .. 'waits', 'GT', text(since), group)
    end
    waited = {}
end
at_end[#at_end + 1] = write_waits

-- A chunk waits for its time.
local function delay(chunk)
    local run = waiting_with(chunk)
    call('ZADD', waiting_key(chunk.job, run), text(chunk.due), member(chunk))
    count_waiting(chunk, chunk.count)
    if chunk.waits_since then
        waited[chunk.job .. ':' .. run] = chunk.waits_since
    end
    if earlier(key('due', chunk.job), run, chunk.due) and earlier(PREFIX .. 'due', chunk.job, chunk.due) then
        mark('work')
    end
end

-- Stores items: ready, or waiting for their time.
local function store(chunk)
    if chunk.due > now then
        return delay(chunk)
    end
    local line = line_for(chunk)
    call('ZADD', key('z', line), text(rank_of(chunk)), member(chunk))
    joined(line, chunk, chunk.count)
end

-- Stores chunks that are ready: what goes into one line goes there in one piece.
local function store_ready(chunks)
    local lines = {}
    for _, chunk in ipairs(chunks) do
        local its_tag = chunk.job .. '/' .. tag(place_of(chunk))
        local line = lines[its_tag]
        if not line then
            line = { id = line_for(chunk), first = chunk, items = 0, sent = {} }
            lines[its_tag] = line
        end
        line.items = line.items + chunk.count
        line.sent[#line.sent + 1] = text(rank_of(chunk))
        line.sent[#line.sent + 1] = member(chunk)
        if is_before(chunk, line.first) then
            line.first = chunk
        end
    end
    for _, line in pairs(lines) do
        for from = 1, #line.sent, VARIADIC do
            call('ZADD', key('z', line.id), unpack(line.sent, from, math.min(from + VARIADIC - 1, #line.sent)))
        end
        joined(line.id, line.first, line.items)
    end
end

-- Looks when the first chunk of a job is due, after those of a run have changed.
local function find_due(job, run)
    local first = call('ZRANGE', waiting_key(job, run), 0, 0, 'WITHSCORES')
    if first[2] then
        call('ZADD', key('due', job), first[2], run)
    else
        call('ZREM', key('due', job), run)
        call('ZREM', PREFIX .. 'waits', job .. ':' .. run)
    end
    local next = call('ZRANGE', key('due', job), 0, 0, 'WITHSCORES')
    if next[2] then
        call('ZADD', PREFIX .. 'due', next[2], job)
    else
        call('ZREM', PREFIX .. 'due', job)
    end
end

-- So many chunks are made ready in one step: each is several writes.
local PROMOTED = 500

-- Makes ready what has waited for its time, as much as the step may.
local function promote()
    local ready, left = {}, PROMOTED
    while left > 0 do
        local job = call('ZRANGEBYSCORE', PREFIX .. 'due', '-inf', text(now), 'LIMIT', 0, 1)[1]
        if not job then
            break
        end
        local run = call('ZRANGE', key('due', job), 0, 0)[1]
        if not run then
            call('ZREM', PREFIX .. 'due', job)
        else
            local of = waiting_key(job, run)
            local found = call('ZRANGEBYSCORE', of, '-inf', text(now), 'LIMIT', 0, left)
            if #found > 0 then
                call('ZREMRANGEBYRANK', of, 0, #found - 1)
            end
            for _, bytes in ipairs(found) do
                local chunk = of_member(bytes)
                if chunk then
                    count_waiting(chunk, -chunk.count)
                    ready[#ready + 1] = chunk
                else
                    put_aside(job, bytes)
                end
            end
            left = left - math.max(#found, 1)
            find_due(job, run)
        end
    end
    store_ready(ready)
end

-- Sets the chunks right that a clock of the future has put to wait: each waits as long from now on as it was meant to.
-- They are found from the one that is due last.
local function set_group_right(group, job, run)
    local of, passed = waiting_key(job, run), tonumber(call('HGET', PREFIX .. 'waits_at', group) or 0)
    local wanted = budget
    local found = call('ZREVRANGE', of, passed, passed + wanted - 1)
    for _, bytes in ipairs(found) do
        local chunk = of_member(bytes)
        if chunk and chunk.waits_since and chunk.waits_since > now then
            call('ZREM', of, bytes)
            chunk.due, chunk.waits_since = now + math.max(chunk.due - chunk.waits_since, 0), now
            call('ZADD', of, text(chunk.due), member(chunk))
        else
            passed = passed + 1
        end
    end
    budget = budget - math.max(#found, 1)
    if #found < wanted then
        call('HDEL', PREFIX .. 'waits_at', group)
        call('ZADD', PREFIX .. 'waits', text(now), group)
    else
        call('HSET', PREFIX .. 'waits_at', group, passed)
    end
    find_due(job, run)
end

local function set_waits_right()
    while budget > 0 do
        local group = call('ZREVRANGEBYSCORE', PREFIX .. 'waits', '+inf', '(' .. text(now), 'LIMIT', 0, 1)[1]
        if not group then
            return
        end
        local job, run = string.match(group, '^(%d+):(.+)$')
        if job then
            set_group_right(group, home(job), run)
        else
            call('ZREM', PREFIX .. 'waits', group)
        end
    end
end

-- A chunk as callers are told it: its number, its header in the order in which they read it, its payload,
-- which the caller may have read before.
local function told(chunk, bytes)
    local failed = chunk.undecodable
    return {
        name_of(chunk.job),
        chunk.number,
        chunk.tracked and 1 or 0,
        chunk.trigger,
        chunk.tick and text(chunk.tick) or '',
        chunk.stage,
        chunk.priority,
        text(chunk.due),
        chunk.attempt or 0,
        chunk.fresh and 1 or 0,
        chunk.item_type,
        chunk.key and { chunk.key } or {},
        chunk.suspect and 1 or 0,
        chunk.crashes or 0,
        chunk.redelivered or 0,
        text(chunk.start),
        text(chunk.enqueued_at),
        chunk.options or '',
        failed and { text(failed.since), failed.message, failed.builds } or {},
        chunk.format,
        chunk.waits_since and text(chunk.waits_since) or '',
        chunk.count,
        chunk.report or {},
        bytes or payload(chunk) or false,
    }
end
