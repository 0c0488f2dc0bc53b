-- Renews a session.

-- So many chunks of what was dropped are deleted with each beat.
local SWEPT = 256

local session = session_of(ask.session)
if not session or has_left(session) then
    return answer({ 0 })
end
even_if_full()
if not known[1] then
    call('HSET', META, 'schema', SCHEMA)
end
if tonumber(session.linked or 0) > 0 and call('EXISTS', key('k', session.id)) == 0 then
    -- What it links is lost, so nothing could be leased to it: it opens again.
    leave(session.id)
    return answer({ 0 })
end
-- One that was not heard of for a lease was cut off, whatever it says.
local renewed = not is_alive(session)
if ask.reconnected or renewed then
    session.connected = now
end
if renewed then
    -- While it had expired it was given nothing; now it may ask again.
    mark('work')
end
renew(session)

-- Cancelled runs of which the session holds items.
local function cancelled()
    if call('EXISTS', PREFIX .. 'cancels') == 0 then
        return {}
    end
    local found, seen = {}, {}
    for _, token in ipairs(tokens_of(session.id, 'scanned_for_cancels')) do
        local lease = held(session.id, token)
        local chunk = lease and lease.chunk or { tracked = true, number = '' }
        local run = not chunk.tracked and not seen[chunk.number] and run_of(chunk.number)
        seen[chunk.number] = true
        if is_cancelled(run) then
            found[#found + 1] = run.id
        end
    end
    return found
end

-- The patterns that are paused, with the values of their cells.
local function pauses()
    local found = {}
    local all = call('SMEMBERS', PREFIX .. 'pauses')
    table.sort(all)
    for _, name in ipairs(all) do
        local cell = cell_of(name)
        if cell then
            found[#found + 1] = { string.sub(name, #PAUSES + 1), cell.value }
        end
    end
    return found
end

-- Leases that the session names and does not have; what it has and does not name is an orphan, and goes back once it
-- is older than a lease: the answer that carried a younger one may still be on its way.
local function compare()
    local named, lost = {}, {}
    for _, token in ipairs(ask.held) do
        named[token] = true
        if call('HEXISTS', leases_of(session.id), token) == 0 then
            lost[#lost + 1] = token
        end
    end
    local as_of = math.min(ask.as_of, now)
    for _, token in ipairs(tokens_of(session.id, 'scanned_for_orphans')) do
        local lease = not named[token] and held(session.id, token)
        -- One that is granted later than now was granted by a clock of the future.
        if lease and budget > 0
            and (as_of - lease.granted > session.lease or lease.granted > now + session.lease) then
            for _, chunk in ipairs(forget(lease)) do
                budget = budget - 1
                give_back(chunk)
            end
        end
    end
    return lost
end

local lost = ask.held and compare() or {}
-- What was given back is not held any more.
local told_cancelled = cancelled()
sweep(SWEPT)
return answer({ 1, lost, told_cancelled, pauses() })
