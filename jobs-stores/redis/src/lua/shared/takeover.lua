-- Taking back what sessions held that have left or died.

-- Gives the rest of a lease back, uncharged.
local function give_back(lease)
    for _, chunk in ipairs(forget(lease)) do
        end_attempt(chunk, { kind = 'back' }, {})
    end
end

local function new_reaped()
    return { nodes = {}, items = 0, dead = {}, ended = {} }
end

local function reaped_told(reaped)
    return { reaped.nodes, reaped.items, reaped.dead, reaped.ended }
end

-- Kills an item that nobody can decode, or that kills its nodes.
local function kill(chunk, kind, message, node, reaped)
    local failure = { kind = kind, message = message, attempt = (chunk.attempt or 0) + 1, at = now, node = node }
    reaped.dead[#reaped.dead + 1] =
        { name_of(chunk.job), chunk.tracked and '' or chunk.number, item_of(chunk, 0), failure_told(failure) }
    end_attempt(chunk, { kind = 'dead', failure = failure }, reaped.ended)
end

-- What becomes of the items of a chunk whose node died, as `jobs_core::after_crash` says.
local function after_crash(chunk, node, reaped)
    chunk.redelivered = (chunk.redelivered or 0) + 1
    if not chunk.suspect then
        chunk.suspect = true
    elseif (chunk.crashes or 0) < MAX_CRASHES then
        chunk.crashes = (chunk.crashes or 0) + 1
    else
        local message = chunk.redelivered
            .. ' nodes died holding it, the last ones with nothing else under suspicion'
        kill(chunk, 'Poison', message, node, reaped)
        return
    end
    end_attempt(chunk, { kind = 'back' }, reaped.ended)
end

-- Takes back what a dead session held.
local function bring_back(id, reaped)
    local session = session_of(id)
    if not session then
        return
    end
    for _, token in ipairs(tokens_of(id)) do
        for _, chunk in ipairs(forget(held(id, token))) do
            reaped.items = reaped.items + chunk.count
            after_crash(chunk, session.name, reaped)
        end
    end
    forget_session(session)
    reaped.nodes[#reaped.nodes + 1] = session.name
end
