-- Lines: queues of chunks of which all may be leased to the same sessions, so that the first of each speaks for it, and
-- looking for work looks at lines only.
--
-- `n:<line>`   hash: `job`, `kind`, `run`, `builds`, how many `items`; while it stands also `rank`, `number`, `turn`
-- `q:<line>`   list: the chunks that a query found, in its order
-- `z:<line>`   zset by rank: the chunks that came here in any other way, in the order of runs and of places in them
-- `jl:<job>`   hash: the lines of a job, by what tells them apart
-- `jh:<job>`   zset: those that stand, by the rank of their first chunk
-- `heads`      zset: those of all jobs, by rank, then by turn, then by run
-- `aside`      set: the lines of items that some build could not decode
-- `dropped`    list: lines whose chunks are for nobody any more, and are deleted little by little
--
-- Every run has a line of its own for what its query found. While that is staged the line is hidden; the last append
-- shows it, whatever stands in it.

-- Fill and finish items: they count against no limit of the job.
local CONTROL = 0
-- Items of the job.
local WORK_LINE = 1
-- Items that a dead node held: one at a time, one per session.
local SUSPECT = 2
-- Items that certain builds could not decode.
local ASIDE = 3
-- Chunks of a newer format: for nobody here.
local NEWER = 4
-- What a query has found so far.
local STAGED = 5

local FILL, WORK, FINISH = 0, 1, 2

local function kind_of(chunk)
    if chunk.format > FORMAT then
        return NEWER
    elseif chunk.undecodable then
        return ASIDE
    elseif chunk.suspect then
        return SUSPECT
    end
    return chunk.stage == WORK and WORK_LINE or CONTROL
end

-- Where ready items stand: lower is leased first.
local function rank_of(chunk)
    return chunk.due - chunk.priority * STEP
end

-- How a chunk stands in a sorted set among those of its rank: in the order of runs, and of places in them.
local function member(chunk)
    return padded(chunk.number) .. padded(text(chunk.start)) .. pack(chunk)
end

local function of_member(bytes)
    local chunk = unpacked(string.sub(bytes, 33))
    chunk.job = home(chunk.job)
    return chunk
end

local function of_element(bytes)
    local chunk = unpacked(bytes)
    chunk.job = home(chunk.job)
    return chunk
end

-- What tells the lines of a job apart.
local function tag(kind, run, builds)
    return kind .. '/' .. run .. '/' .. builds
end

local function find_line(job, kind, run, builds)
    return call('HGET', key('jl', job), tag(kind, run, builds))
end

-- A line in which nothing stands.
local function new_line(job, kind, run, builds)
    local id = number()
    call('HSET', key('n', id), 'job', job, 'kind', kind, 'run', run, 'builds', builds, 'items', 0)
    call('HSET', key('jl', job), tag(kind, run, builds), id)
    if kind == ASIDE then
        call('SADD', PREFIX .. 'aside', id)
    end
    return id
end

-- The line that a chunk belongs in; one that is not there is made, and stands nowhere yet.
local function line_for(chunk)
    local kind, run, builds = kind_of(chunk), '0', ''
    if kind == WORK_LINE and not chunk.tracked then
        run = chunk.number
    elseif kind == ASIDE then
        builds = cjson.encode(chunk.undecodable.builds)
    end
    return find_line(chunk.job, kind, run, builds) or new_line(chunk.job, kind, run, builds)
end

local function line_of(id)
    local found = call('HMGET', key('n', id), 'job', 'kind', 'rank', 'number', 'turn', 'builds', 'items')
    return {
        id = id,
        job = found[1],
        kind = tonumber(found[2]),
        rank = tonumber(found[3] or nil),
        number = found[4],
        turn = found[5],
        builds = found[6],
        items = tonumber(found[7]),
    }
end

local function head_member(line)
    return padded(line.turn) .. padded(line.number) .. line.id
end

-- Takes a line out of the order of all.
local function unstand(line)
    if line.rank then
        call('ZREM', PREFIX .. 'heads', head_member(line))
        call('ZREM', key('jh', line.job), line.id)
        line.rank = nil
    end
end

-- Puts a line in the order of all, where its first chunk stands. The lines of a job that tie have one turn, so that
-- among them the older run comes first.
local function stand(line, rank, of_run)
    local came, kept = not line.rank, line.rank == rank and line.turn
    unstand(line)
    if not kept then
        local peer = call('ZRANGEBYSCORE', key('jh', line.job), text(rank), text(rank), 'LIMIT', 0, 1)[1]
        line.turn = peer and call('HGET', key('n', peer), 'turn') or number()
    end
    line.rank, line.number = rank, of_run
    call('ZADD', PREFIX .. 'heads', text(rank), head_member(line))
    call('ZADD', key('jh', line.job), text(rank), line.id)
    call('HSET', key('n', line.id), 'rank', text(rank), 'number', of_run, 'turn', line.turn)
    if came then
        mark('work')
    end
end

-- Whether a chunk is leased before another one.
local function is_before(a, b)
    local first, second = rank_of(a), rank_of(b)
    if first ~= second then
        return first < second
    end
    local one, other = padded(a.number), padded(b.number)
    if one ~= other then
        return one < other
    end
    return a.start < b.start
end

-- The first chunk of a line, and as what it stands in the sorted set, if it does.
local function first_chunk(line)
    local found = call('LINDEX', key('q', line.id), 0)
    local back = call('ZRANGE', key('z', line.id), 0, 0)[1]
    local queued, returned = found and of_element(found), back and of_member(back)
    if queued and (not returned or is_before(queued, returned)) then
        return queued, nil
    end
    return returned, back
end

-- A line that is empty is no more.
local function remove_line(line)
    unstand(line)
    local found = call('HMGET', key('n', line.id), 'kind', 'run', 'builds')
    call('HDEL', key('jl', line.job), tag(found[1], found[2], found[3]))
    call('DEL', key('n', line.id))
    if tonumber(found[1]) == ASIDE then
        call('SREM', PREFIX .. 'aside', line.id)
    end
end

-- Puts a line where its first chunk stands now.
local function restand(line)
    local first = first_chunk(line)
    if not first then
        remove_line(line)
    elseif line.rank ~= rank_of(first) or line.number ~= first.number then
        stand(line, rank_of(first), first.number)
    end
end

-- More items, or fewer, stand in a line that may be leased from.
local function count_items(line, n)
    call('HINCRBY', key('n', line.id), 'items', n)
    add(job_key(line.job), 'ready', n)
end

-- Items came into a line: at its head, if they are before all others.
local function joined(id, chunk)
    local line = line_of(id)
    count_items(line, chunk.count)
    local rank = rank_of(chunk)
    if not line.rank or rank < line.rank
        or (rank == line.rank and padded(chunk.number) < padded(line.number)) then
        stand(line, rank, chunk.number)
    end
end

-- Of jobs that tie, the one that was just served is last. Gives the lines that were moved.
local function end_turn(job, rank)
    local of_job, at = key('jh', job), text(rank)
    local tied = call('ZCOUNT', of_job, at, at)
    if tied == 0 or call('ZCOUNT', PREFIX .. 'heads', at, at) == tied then
        return {}
    end
    local turn, moved = number(), call('ZRANGEBYSCORE', of_job, at, at)
    for _, id in ipairs(moved) do
        local line = line_of(id)
        call('ZREM', PREFIX .. 'heads', head_member(line))
        line.turn = turn
        call('ZADD', PREFIX .. 'heads', at, head_member(line))
        call('HSET', key('n', id), 'turn', turn)
    end
    return moved
end

-- Takes the first `n` items of the first chunk of a line, and leaves the rest. `back` is how it stands in the sorted set.
local function take(line, chunk, back, n)
    local rest
    if n < chunk.count then
        rest = {}
        for field, value in pairs(chunk) do
            rest[field] = value
        end
        rest.at, rest.start, rest.count = rest.at + n, rest.start + n, rest.count - n
    end
    if back then
        call('ZREM', key('z', line.id), back)
        if rest then
            call('ZADD', key('z', line.id), text(rank_of(rest)), member(rest))
        end
    elseif rest then
        call('LSET', key('q', line.id), 0, pack(rest))
    else
        call('LPOP', key('q', line.id))
    end
    count_items(line, -n)
    if not rest then
        restand(line)
    end
end

-- Takes a chunk out of the sorted set of a line. The line is still to be put in its place.
local function take_out(line, bytes, chunk)
    call('ZREM', key('z', line.id), bytes)
    count_items(line, -chunk.count)
end

-- Drops all that stands in a line, in one small step; it is deleted little by little.
local function drop_line(line)
    remove_line(line)
    call('RPUSH', PREFIX .. 'dropped', line.id)
end

-- Shows what a query found: it is leased from now on.
local function publish(id, run, chunk, items)
    local shown = find_line(chunk.job, WORK_LINE, run, '')
    local line = line_of(id)
    if not shown then
        call('HDEL', key('jl', line.job), tag(STAGED, run, ''))
        call('HSET', key('jl', line.job), tag(WORK_LINE, run, ''), id)
        call('HSET', key('n', id), 'kind', WORK_LINE)
        count_items(line, items)
        stand(line, rank_of(chunk), run)
        return
    end
    -- Some of it was published page by page before.
    remove_line(line)
    local found = key('q', id)
    for _ = 1, call('LLEN', found) do
        call('LMOVE', found, key('q', shown), 'LEFT', 'RIGHT')
    end
    local there = line_of(shown)
    count_items(there, items)
    restand(there)
end
