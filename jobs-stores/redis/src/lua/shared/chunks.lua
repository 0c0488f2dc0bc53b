-- Chunks: neighbouring items that are alike. Their payload stands in a body that is written once; a chunk says which of
-- its items, so that leasing some of them rewrites nothing. What a chunk does not say is at its default: absent.
--
-- `b:<body>`        string: where each item ends, 4 bytes each, unless it is one; then the items
-- `spent`           hash: how many items of a body have ended, once some and not all have
-- `d:<run>`         zset by due time: chunks of a run that wait for their time; `d:c<run>`: its fill or finish item;
--                   `d:<job>:0`: tracked items of a job
-- `due:<job>`       zset: when the first of each run of a job is due
-- `due`             zset: when the first of each job is due

-- So many chunks are made ready in one step; the others in the next.
local PROMOTED = 1000

-- Where an item of a body begins, counted from the first byte of them all.
local function offset_of(body, index)
    if index == 0 then
        return 0
    end
    return (struct.unpack('>I4', call('GETRANGE', body, 4 * (index - 1), 4 * index - 1)))
end

-- The payload of a chunk's items, without looking at any of them; nothing for the item of a job that takes none.
local function payload(chunk)
    if not chunk.body then
        return nil
    end
    local body = key('b', chunk.body)
    if chunk.whole == 1 then
        return call('GET', body)
    end
    local items = 4 * chunk.whole
    if chunk.count == chunk.whole then
        return call('GETRANGE', body, items, -1)
    end
    local from, to = offset_of(body, chunk.at), offset_of(body, chunk.at + chunk.count)
    return call('GETRANGE', body, items + from, items + to - 1)
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

-- A chunk waits for its time.
local function delay(chunk)
    local run = waiting_with(chunk)
    call('ZADD', waiting_key(chunk.job, run), text(chunk.due), member(chunk))
    count_waiting(chunk, chunk.count)
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
    joined(line, chunk)
end

-- Looks when the first chunk of a job is due, after those of a run have changed.
local function find_due(job, run)
    local first = call('ZRANGE', waiting_key(job, run), 0, 0, 'WITHSCORES')
    if first[2] then
        call('ZADD', key('due', job), first[2], run)
    else
        call('ZREM', key('due', job), run)
    end
    local next = call('ZRANGE', key('due', job), 0, 0, 'WITHSCORES')
    if next[2] then
        call('ZADD', PREFIX .. 'due', next[2], job)
    else
        call('ZREM', PREFIX .. 'due', job)
    end
end

-- Makes ready what has waited for its time.
local function promote()
    local left = PROMOTED
    while left > 0 do
        local job = call('ZRANGEBYSCORE', PREFIX .. 'due', '-inf', text(now), 'LIMIT', 0, 1)[1]
        if not job then
            return
        end
        local run = call('ZRANGE', key('due', job), 0, 0)[1]
        local of = waiting_key(job, run)
        for _, bytes in ipairs(call('ZRANGEBYSCORE', of, '-inf', text(now), 'LIMIT', 0, left)) do
            local chunk = of_member(bytes)
            call('ZREM', of, bytes)
            count_waiting(chunk, -chunk.count)
            store(chunk)
            left = left - 1
        end
        find_due(job, run)
    end
end

-- A chunk as callers are told it: its number, its header in the order in which they read it, its payload.
local function told(chunk)
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
        chunk.count,
        chunk.report or {},
        payload(chunk) or false,
    }
end
