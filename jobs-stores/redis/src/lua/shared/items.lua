-- What becomes of items: settled by attempts, given back, dead.
--
-- `f:<item>`     list: the failed attempts of an item, oldest first
-- `x:<item>`     hash: a dead item: its `chunk`, `payload`, `number` in the order of deaths, when it `died`
-- `dead`         zset by number: all dead items
-- `jx:<job>`     zset by number: those of a job
-- `jd:<job>`     zset by when they died
-- `with_dead`    set: the jobs that have any

-- Of a cancelled run nothing is tried again.
local GOES_ON = { retry = true, snooze = true, back = true, undecodable = true }
-- What an attempt was made for, and what was not: nothing was attempted of what a store kills.
local ATTEMPTED = { done = true, retry = true, discarded = true }
local KILLED = { Poison = true, Undecodable = true }
local COUNTED = { done = 'ok', dead = 'dead', discarded = 'discarded', cancelled = 'cancels', expired = 'expired' }

-- Counts how `n` items of a run ended, or an attempt of them: what `jobs_core::count` does.
local function count_end(run, chunk, how)
    local n = chunk.count
    if (ATTEMPTED[how.kind] or (how.kind == 'dead' and not KILLED[how.failure.kind]))
        and (chunk.attempt or 0) > 0 then
        raise(run, 'retries', n)
    end
    if chunk.fresh and how.kind ~= 'back' and how.kind ~= 'undecodable' then
        raise(run, 'fresh', -math.min(n, count_of(run, 'fresh')))
    end
    if COUNTED[how.kind] then
        raise(run, COUNTED[how.kind], n)
    end
end

-- A failure as callers are told it: in JSON, as they sent it, or in pieces if it was made here.
local function failure_told(failure)
    if failure.json then
        return { failure.json }
    end
    return { failure.kind, failure.message, failure.attempt, text(failure.at), failure.node }
end

-- Keeps a failed attempt with each of its items.
local function note_failure(chunk, run, failure)
    if run then
        count_errors(run, item_of(chunk, 0), chunk.count, failure)
    end
    if chunk.stage ~= WORK then
        return
    end
    local kept = pack(failure.json and { json = failure.json } or failure)
    for index = 0, chunk.count - 1 do
        local of = key('f', item_of(chunk, index))
        call('RPUSH', of, kept)
        if (chunk.attempt or 0) >= MAX_ATTEMPTS then
            call('LTRIM', of, -MAX_ATTEMPTS, -1)
        end
    end
end

local function forget_failures(chunk)
    for from = 0, chunk.count - 1, VARIADIC do
        local keys = {}
        for index = from, math.min(from + VARIADIC, chunk.count) - 1 do
            keys[#keys + 1] = key('f', item_of(chunk, index))
        end
        call('UNLINK', unpack(keys))
    end
end

-- The items that died in this step, by their jobs: as members of sorted sets. They are listed at its end.
local deaths = {}
local function list_deaths()
    for job, died in pairs(deaths) do
        for from = 1, #died.by_number, VARIADIC do
            local to = math.min(from + VARIADIC - 1, #died.by_number)
            call('ZADD', PREFIX .. 'dead', unpack(died.by_number, from, to))
            call('ZADD', key('jx', job), unpack(died.by_number, from, to))
            call('ZADD', key('jd', job), unpack(died.by_time, from, to))
        end
        call('SADD', PREFIX .. 'with_dead', job)
    end
    deaths = {}
end
at_end[#at_end + 1] = list_deaths

-- Keeps items whose last attempt has failed.
local function bury(chunk)
    local died = deaths[chunk.job] or { by_number = {}, by_time = {} }
    deaths[chunk.job] = died
    for index = 0, chunk.count - 1 do
        local one = part_of(chunk, index, index + 1)
        local item, grave = item_of(one, 0), number()
        local bytes = payload(one) or 'null\n'
        one.body, one.at, one.whole = nil, nil, nil
        call('HSET', key('x', item), 'chunk', pack(one), 'payload', bytes, 'number', grave, 'died', text(now))
        local at = #died.by_number
        died.by_number[at + 1], died.by_number[at + 2] = grave, item
        died.by_time[at + 1], died.by_time[at + 2] = text(now), item
    end
end

-- Removes dead items of a job.
local function exhume(job, items)
    if #items == 0 then
        return
    end
    for from = 1, #items, VARIADIC do
        local to, keys = math.min(from + VARIADIC - 1, #items), {}
        for i = from, to do
            keys[#keys + 1], keys[#keys + 2] = key('x', items[i]), key('f', items[i])
        end
        call('UNLINK', unpack(keys))
        call('ZREM', PREFIX .. 'dead', unpack(items, from, to))
        call('ZREM', key('jx', job), unpack(items, from, to))
        call('ZREM', key('jd', job), unpack(items, from, to))
    end
    if call('EXISTS', key('jx', job)) == 0 then
        call('SREM', PREFIX .. 'with_dead', job)
    end
end

-- Stores items again that go on, and takes leave of the others.
local function go_on(chunk, how)
    local kind = how.kind
    if kind == 'retry' or kind == 'snooze' then
        -- It waits until then, but no longer than it was meant to: the sender's clock may be another one.
        chunk.due = math.min(how.at, now + how.wait)
        chunk.waits_since = chunk.due > now and now or nil
        chunk.fresh, chunk.suspect, chunk.undecodable = nil, nil, nil
        if kind == 'retry' then
            chunk.attempt = (chunk.attempt or 0) + 1
        end
        return store(chunk)
    elseif kind == 'back' or kind == 'undecodable' then
        chunk.due, chunk.waits_since = math.min(chunk.due, now), nil
        return store(chunk)
    elseif kind == 'dead' and chunk.stage == WORK then
        bury(chunk)
    elseif chunk.stage == WORK and ((chunk.attempt or 0) > 0 or (chunk.crashes or 0) > 0) then
        -- Only attempts of work are kept with its item: a query has the number of the first one.
        forget_failures(chunk)
    end
    has_ended(chunk, chunk.count)
end

-- Ends an attempt of a chunk's items, which no lease covers any more. Their payload is looked at only if they are dead.
-- `over` gets the runs that may be over.
local function end_attempt(chunk, how, over)
    local run = not chunk.tracked and run_of(chunk.number) or nil
    if is_cancelled(run) and GOES_ON[how.kind] then
        how = { kind = 'cancelled' }
    end
    if how.failure then
        note_failure(chunk, run, how.failure)
    end
    if chunk.stage == FILL then
        attempt_of_query_ended(run, how.kind)
    elseif chunk.stage == WORK and run then
        count_end(run, chunk, how)
    end
    go_on(chunk, how)
    if run and all_ended(run) and over[#over] ~= run.id then
        over[#over + 1] = run.id
    end
end

-- Kills items one by one: nobody can decode them, they kill their nodes, or the server has lost their payload. `dead` gets
-- what is said of each.
local function kill(chunk, kind, message, node, dead, over)
    for index = 0, chunk.count - 1 do
        local one = part_of(chunk, index, index + 1)
        local failure = { kind = kind, message = message, attempt = (one.attempt or 0) + 1, at = now, node = node }
        dead[#dead + 1] = { name_of(one.job), one.tracked and '' or one.number, item_of(one, 0), failure_told(failure) }
        end_attempt(one, { kind = 'dead', failure = failure }, over)
    end
end
