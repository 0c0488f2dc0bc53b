-- Leases: who holds which items, and which of them are settled.
--
-- `t:<session>`   hash: the leases of a session, by token: the chunk, `granted`, how many items are `open`, and once
--                 some and not all are settled, which: a letter for each
-- `fills`         hash: who holds a fill item, by token

local function leases_of(session)
    return key('t', session)
end

-- A lease of a session.
local known_leases = {}
local function held(session, token)
    local lease = known_leases[token]
    if lease and lease.session == session then
        return lease
    end
    local found = call('HGET', leases_of(session), token)
    if not found then
        return nil
    end
    lease = unpacked(found)
    if not lease or not is_chunk(lease.chunk) then
        return nil
    end
    lease.session, lease.token, lease.chunk.job = session, token, home(lease.chunk.job)
    known_leases[token] = lease
    return lease
end

-- Counts that a session holds more items of a job, or fewer.
local function count_held(session, chunk, n)
    local field = session
    if chunk.stage ~= WORK then
        field = session .. ':c'
    elseif chunk.tracked then
        field = session .. ':t'
    end
    add(key('held', chunk.job), field, n)
    add(key('s', session), 'holds', n)
end

-- Writes a lease that was changed; one of which all items are settled is gone.
local function write_lease(lease)
    local chunk = lease.chunk
    if lease.open > 0 then
        local kept = { chunk = chunk, granted = lease.granted, open = lease.open, settled = lease.settled }
        call('HSET', leases_of(lease.session), lease.token, pack(kept))
        return
    end
    call('HDEL', leases_of(lease.session), lease.token)
    known_leases[lease.token] = nil
    if chunk.stage == FILL then
        call('HDEL', PREFIX .. 'fills', lease.token)
    end
    if chunk.suspect then
        add(key('s', lease.session), 'suspects', -1)
    end
end

-- Marks the items from..to as settled, and gives the stretches of them that were not: each item is settled at most
-- once. The lease is still to be written.
local function settle_items(lease, from, to)
    local count = lease.chunk.count
    to = math.min(to, count)
    local stretches = {}
    if from == 0 and to == count and lease.open == count then
        stretches[1] = { 0, count }
        lease.open = 0
    else
        local settled = lease.settled or string.rep('.', count)
        local at = from
        while at < to do
            local first = string.find(settled, '.', at + 1, true)
            if not first or first > to then
                break
            end
            local after = string.find(settled, 'x', first, true) or count + 1
            local stop = math.min(after - 1, to)
            settled = string.sub(settled, 1, first - 1) .. string.rep('x', stop - first + 1)
                .. string.sub(settled, stop + 1)
            stretches[#stretches + 1] = { first - 1, stop }
            lease.open = lease.open - (stop - first + 1)
            at = stop
        end
        lease.settled = settled
    end
    for _, stretch in ipairs(stretches) do
        count_held(lease.session, lease.chunk, stretch[1] - stretch[2])
    end
    return stretches
end

-- Takes a lease away, and gives the chunks of it that were not settled.
local function forget(lease)
    local rest = {}
    for i, stretch in ipairs(settle_items(lease, 0, lease.chunk.count)) do
        rest[i] = part_of(lease.chunk, stretch[1], stretch[2])
    end
    write_lease(lease)
    return rest
end

-- The tokens of a session, in their order; of very many, some. `place`: where it is kept which were looked at last, so that
-- each comes in turn.
local function tokens_of(session, place)
    local tokens
    if call('HLEN', leases_of(session)) <= 4 * STEP_RECORDS then
        tokens = call('HKEYS', leases_of(session))
    else
        tokens = {}
        local cursor = place and call('HGET', key('s', session), place) or '0'
        local page = call('HSCAN', leases_of(session), cursor, 'COUNT', STEP_RECORDS)
        if place then
            call('HSET', key('s', session), place, page[1])
        end
        local fields = page[2]
        for i = 1, #fields, 2 do
            tokens[#tokens + 1] = fields[i]
        end
    end
    table.sort(tokens, function(a, b)
        return padded(a) < padded(b)
    end)
    return tokens
end

-- Leases a chunk to a session, whose payload was read.
local function lease_to(session, chunk, bytes)
    local token = number()
    local lease = { session = session, token = token, chunk = chunk, granted = now, open = chunk.count, bytes = bytes }
    count_held(session, chunk, chunk.count)
    if chunk.suspect then
        add(key('s', session), 'suspects', 1)
    end
    write_lease(lease)
    local run = not chunk.tracked and run_of(chunk.number) or nil
    if run and not run.begun then
        set(run, 'begun', '1')
    end
    if chunk.stage == FILL then
        call('HSET', PREFIX .. 'fills', token, session)
        fill_under(run, token)
    end
    return lease
end

-- A lease as callers are told it.
local function lease_told(lease)
    local cursor = {}
    if lease.chunk.stage == FILL then
        local run = run_of(lease.chunk.number)
        cursor = run and run.cursor and { run.cursor } or {}
    end
    return { lease.token, cursor, told(lease.chunk, lease.bytes) }
end

-- Items of a job in flight over all live sessions; with `of_runs`, without tracked ones.
local function in_flight(job, of_runs)
    write_counts()
    local open, alive = 0, {}
    for who, n in pairs(fields_of(key('held', job))) do
        local session, what = string.match(who, '^(%x+):?(%a?)$')
        if what ~= 'c' and not (of_runs and what == 't') then
            if alive[session] == nil then
                local lives_until = call('HGET', key('s', session), 'until')
                alive[session] = lives_until and now <= tonumber(lives_until) or false
            end
            if alive[session] then
                open = open + tonumber(n)
            end
        end
    end
    return open
end
