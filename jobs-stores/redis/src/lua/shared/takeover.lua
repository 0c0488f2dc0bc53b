-- Taking back what sessions held that have left or died.

-- Takes back what a session holds, as much as the step may; `each` gets the chunks. Returns whether nothing is left.
local function take_back(id, each)
    for _, token in ipairs(tokens_of(id)) do
        if budget <= 0 then
            return false
        end
        local lease = held(id, token)
        local rest = lease and forget(lease) or {}
        for _, chunk in ipairs(rest) do
            budget = budget - 1
            each(chunk)
        end
        if not lease then
            -- What it holds cannot be read: it is kept for whoever can.
            put_aside('0', call('HGET', leases_of(id), token))
            call('HDEL', leases_of(id), token)
        end
    end
    return call('EXISTS', leases_of(id)) == 0
end

local function give_back(chunk)
    end_attempt(chunk, { kind = 'back' }, {})
end

-- Ends a session, and gives back what it holds, uncharged. Until all of it went back, the session is one that has left.
-- Returns whether there is more.
local function leave(id)
    if session_of(id) then
        call('HSET', key('s', id), 'until', LEFT_AT)
        call('ZADD', PREFIX .. 'sessions', LEFT_AT, id)
    end
    if not take_back(id, give_back) then
        return true
    end
    forget_session(id)
    return false
end

local function new_reaped()
    return { nodes = {}, items = 0, dead = {}, ended = {} }
end

local function reaped_told(reaped)
    return { reaped.nodes, reaped.items, reaped.dead, reaped.ended, budget <= 0 and 1 or 0 }
end

-- What becomes of the items of a chunk whose node died, as `jobs_core::after_crash` says.
local function after_crash(chunk, node, reaped)
    chunk.redelivered = (chunk.redelivered or 0) + 1
    if not chunk.suspect then
        chunk.suspect = true
    elseif (chunk.crashes or 0) < MAX_CRASHES then
        chunk.crashes = (chunk.crashes or 0) + 1
    else
        local message = string.gsub(POISON, '%%', chunk.redelivered)
        return kill(chunk, 'Poison', message, node, reaped.dead, reaped.ended)
    end
    end_attempt(chunk, { kind = 'back' }, reaped.ended)
end

-- Takes back what a session held that is dead or has left.
local function bring_back(id, reaped)
    local session = session_of(id)
    if session and has_left(session) then
        return leave(id)
    end
    local node = session and session.name or ''
    local is_all = take_back(id, function(chunk)
        reaped.items = reaped.items + chunk.count
        after_crash(chunk, node, reaped)
    end)
    if is_all then
        forget_session(id)
        if session then
            reaped.nodes[#reaped.nodes + 1] = node
        end
    end
end
