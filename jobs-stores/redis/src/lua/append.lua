-- Stores what a query found, fenced by the fill item's lease. ARGV[3] is where the next page begins, if one was sent;
-- then come the bodies.

-- What the answer to an append is, once it is stored.
local function stored(run)
    write_counts()
    local ready = call('HGET', job_key(run.job), 'ready') or '0'
    return { 'stored', ready, text(count_of(run, 'total') + count_of(run, 'staged')) }
end

-- The answer to an append under a lease that is no more: a repeat is answered as the first was.
local function stored_before()
    local id = call('HGET', PREFIX .. 'filled', ask.token)
    local run = id and run_of(id)
    if run and ask.seq <= count_of(run, 'last_append') then
        return stored(run)
    end
    return { 'lost' }
end

-- The chunks that were found by the query of a fill item, as `jobs_core::Header::of_found` has them.
local function found_by(fill, start)
    local chunks = {}
    for i, count in ipairs(ask.counts) do
        local chunk = {
            format = fill.format,
            job = fill.job,
            number = fill.number,
            trigger = fill.trigger,
            tick = fill.tick,
            stage = WORK,
            priority = fill.priority,
            -- A retried query does not put its items behind those of a later run. None of them waits.
            due = math.min(fill.tick or fill.enqueued_at, now),
            fresh = true,
            item_type = ask.item_type,
            key = fill.key,
            start = start,
            enqueued_at = now,
            options = fill.options,
        }
        chunks[i] = with_body(chunk, ARGV[3 + i], count)
        start = start + count
    end
    return chunks
end

-- Stores items in the run's hidden line.
local function stage(run, chunks)
    if not run.staged_in then
        set(run, 'staged_in', new_line(run.job, STAGED, run.id, ''))
    end
    for _, chunk in ipairs(chunks) do
        call('RPUSH', key('q', run.staged_in), pack(chunk))
        raise(run, 'staged', chunk.count)
    end
end

-- Stores items that are ready at once.
local function publish_page(chunks)
    for _, chunk in ipairs(chunks) do
        local line = line_for(chunk)
        call('RPUSH', key('q', line), pack(chunk))
        joined(line, chunk, chunk.count)
    end
end

-- A stored page is progress: the attempts of the query begin anew, and so does the suspicion that it kills its nodes.
local function progressed(lease)
    local fill = lease.chunk
    if fill.suspect then
        add(key('s', lease.session), 'suspects', -1)
    end
    fill.attempt, fill.crashes, fill.suspect = nil, nil, nil
    write_lease(lease)
end

-- Publishes what was staged, and settles the fill item.
local function end_filling(run, lease)
    set(run, 'filled', ask.token)
    call('HSET', PREFIX .. 'filled', ask.token, run.id)
    set(run, 'last_append', text(ask.seq))
    local staged, staged_in = count_of(run, 'staged'), run.staged_in
    raise(run, 'total', staged)
    raise(run, 'fresh', staged)
    for _, field in ipairs({ 'filling', 'staged_in', 'staged', 'seq', 'fill_lease' }) do
        unset(run, field)
    end
    if staged_in then
        if staged > 0 then
            local first = call('LINDEX', key('q', staged_in), 0)
            local chunk = first and of_element(first)
            if chunk then
                publish(staged_in, run.id, chunk, staged)
            end
        else
            drop_line(line_of(staged_in))
        end
    end
    forget(lease)
end

local holder = call('HGET', PREFIX .. 'fills', ask.token)
local lease = holder and held(holder, ask.token)
if not lease then
    return answer(stored_before())
end
local run = run_of(lease.chunk.number)
if not run then
    -- It has lost its record: its query would be about nothing.
    forget(lease)
    return answer({ 'lost' })
end
fill_under(run, ask.token)
if run.cancelled or not run.filling then
    return answer({ 'lost' })
end
local seq = count_of(run, 'seq')
if ask.seq > seq then
    return answer({ 'out of order', text(seq) })
elseif ask.seq < seq then
    return answer(stored(run))
end
local chunks = found_by(lease.chunk, count_of(run, 'total') + count_of(run, 'staged'))
if not ask.page then
    if #chunks > 0 then
        stage(run, chunks)
    end
else
    publish_page(chunks)
    for _, chunk in ipairs(chunks) do
        raise(run, 'total', chunk.count)
        raise(run, 'fresh', chunk.count)
    end
    if ask.cursor then
        set(run, 'cursor', ARGV[3])
    else
        unset(run, 'cursor')
    end
    if not ask.last then
        progressed(lease)
    end
end
set(run, 'seq', text(seq + 1))
if ask.last then
    end_filling(run, lease)
end
return answer(stored(run))
