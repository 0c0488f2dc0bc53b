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
-- `unread:<job>` list: what stood in a queue and is no chunk that this version can read
--
-- Every run has a line of its own for what its query found. While that is staged the line is hidden; the last append
-- shows it, whatever stands in it.

local is_trigger = TRIGGERS

-- Whether a chunk says something that only a newer version understands.
local function is_newer(chunk)
    return chunk.format > FORMAT or not is_trigger[chunk.trigger] or chunk.stage < FILL or chunk.stage > FINISH
end

local function kind_of(chunk)
    if is_newer(chunk) then
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

local NUMBERS = { 'format', 'stage', 'priority', 'due', 'start', 'count', 'enqueued_at' }

-- Whether it has what every chunk has.
local function is_chunk(value)
    if type(value) ~= 'table' or type(value.job) ~= 'string' or type(value.number) ~= 'string' then
        return false
    end
    for _, field in ipairs(NUMBERS) do
        if type(value[field]) ~= 'number' then
            return false
        end
    end
    return value.count >= 1 and #value.number <= 16 and type(value.trigger) == 'string'
        and (not value.body or (value.at and value.whole)) and true or false
end

-- The chunk that an element of a list holds; nothing if it is none.
local function of_element(bytes)
    local chunk = unpacked(bytes)
    if not is_chunk(chunk) then
        return nil
    end
    chunk.job = home(chunk.job)
    return chunk
end

-- The same of a member of a sorted set.
local function of_member(bytes)
    return of_element(string.sub(bytes, 33))
end

-- Puts bytes aside that are no chunk, so that nothing waits behind them.
local function put_aside(job, bytes)
    call('RPUSH', key('unread', job), bytes)
    mark('unread')
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

-- What tells the line that a chunk belongs in from others.
local function place_of(chunk)
    local kind, run, builds = kind_of(chunk), '0', ''
    if kind == WORK_LINE and not chunk.tracked then
        run = chunk.number
    elseif kind == ASIDE then
        builds = cjson.encode(chunk.undecodable.builds)
    end
    return kind, run, builds
end

-- The line that a chunk belongs in; one that is not there is made, and stands nowhere yet.
local function line_for(chunk)
    local kind, run, builds = place_of(chunk)
    return find_line(chunk.job, kind, run, builds) or new_line(chunk.job, kind, run, builds)
end

-- A line; one without a `job` has no record.
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
        items = tonumber(found[7] or 0),
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
    while true do
        local found = call('LINDEX', key('q', line.id), 0)
        local back = call('ZRANGE', key('z', line.id), 0, 0)[1]
        local queued, returned = found and of_element(found), back and of_member(back)
        if found and not queued then
            call('LPOP', key('q', line.id))
            put_aside(line.job, found)
        elseif back and not returned then
            call('ZREM', key('z', line.id), back)
            put_aside(line.job, back)
        elseif queued and (not returned or is_before(queued, returned)) then
            return queued, nil
        else
            return returned, back
        end
    end
end

-- A line that is empty is no more.
local function remove_line(line)
    local found = call('HMGET', key('n', line.id), 'kind', 'run', 'builds')
    if not line.job or not found[1] then
        return
    end
    unstand(line)
    local of_job, its_tag = key('jl', line.job), tag(found[1], found[2], found[3])
    if call('HGET', of_job, its_tag) == line.id then
        call('HDEL', of_job, its_tag)
    end
    call('DEL', key('n', line.id))
    if tonumber(found[1]) == ASIDE then
        call('SREM', PREFIX .. 'aside', line.id)
    end
end

-- Makes the record of a line anew that has lost it, from what stands in it; `head` is how it stands in the order of all.
-- Nothing comes of it if nothing stands in it.
local function recover_line(id, head)
    local queued = call('LRANGE', key('q', id), 0, STEP_RECORDS - 1)
    local back = call('ZRANGE', key('z', id), 0, STEP_RECORDS - 1)
    local first, items = nil, 0
    for _, bytes in ipairs(queued) do
        local chunk = of_element(bytes)
        first, items = first or chunk, items + (chunk and chunk.count or 0)
    end
    for _, bytes in ipairs(back) do
        local chunk = of_member(bytes)
        first, items = first or chunk, items + (chunk and chunk.count or 0)
    end
    if head then
        call('ZREM', PREFIX .. 'heads', head)
    end
    if not first then
        call('DEL', key('n', id))
        return nil
    end
    local kind, run, builds = place_of(first)
    call('HSET', key('n', id), 'job', first.job, 'kind', kind, 'run', run, 'builds', builds, 'items', items)
    call('HSETNX', key('jl', first.job), tag(kind, run, builds), id)
    return line_of(id)
end

-- Puts a line where its first chunk stands now.
local function restand(line)
    local first = first_chunk(line)
    if not first then
        -- More is counted in it only if something was lost.
        local counted_still = tonumber(call('HGET', key('n', line.id), 'items') or 0)
        add(job_key(line.job), 'ready', -counted_still)
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

-- Items came into a line: at its head, if they are before all others. Of several chunks, `chunk` is the first.
local function joined(id, chunk, items)
    local line = line_of(id)
    count_items(line, items)
    if line.kind == ASIDE then
        call('HDEL', key('n', id), 'look_at')
    end
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
        line.turn, line.number = line.turn or turn, line.number or '0'
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
    line.job = line.job or chunk.job
    if not shown or shown == id then
        call('HDEL', key('jl', line.job), tag(STAGED, run, ''))
        call('HSET', key('jl', line.job), tag(WORK_LINE, run, ''), id)
        call('HSET', key('n', id), 'job', line.job, 'kind', WORK_LINE, 'run', run, 'builds', '')
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
    there.job = there.job or chunk.job
    count_items(there, items)
    restand(there)
end
