-- Sessions, and what they link.
--
-- `s:<session>`   hash: how long a `lease` is, alive `until`, `connected` since, `node` in JSON, its `name` and `build`,
--                 the instants that were `past` when it opened, how many items and suspects it holds
-- `sessions`      zset: until when each lives
-- `sk:<session>…` set: lines that are not for it, known for some seconds
-- `k:<session>`   hash: what it links, by the job's name
-- `by:<name>`     set: the sessions that link a job
-- `a:<session>`   hash: what its lanes were answered last

local sessions = {}

-- A session; nothing if there is none.
local function session_of(id)
    local session = sessions[id]
    if session == nil then
        session = fields_of(key('s', id))
        if session['until'] then
            session.id, session.past = id, session.past and unpacked(session.past) or {}
            session.lease, session.connected = tonumber(session.lease), tonumber(session.connected)
            session.lives = tonumber(session['until'])
        else
            session = false
        end
        sessions[id] = session
    end
    return session or nil
end

local function is_alive(session)
    return session ~= nil and now <= session.lives
end

-- Whether it has left, and is there only because of what it held.
local function has_left(session)
    return session.lives <= tonumber(LEFT_AT)
end

-- Renews a session. What a clock of the future has stored is set right.
local function renew(session)
    session.lives, session.connected = now + session.lease, math.min(session.connected, now)
    call('HSET', key('s', session.id), 'until', text(session.lives), 'connected', text(session.connected))
    call('ZADD', PREFIX .. 'sessions', text(session.lives), session.id)
end

-- A session lives no longer than a beat of now would make it live: else a clock of the future has renewed it.
local function set_sessions_right()
    local ahead = call('ZREVRANGEBYSCORE', PREFIX .. 'sessions', '+inf', '(' .. text(now), 'LIMIT', 0, STEP_RECORDS)
    for _, id in ipairs(ahead) do
        local session = session_of(id)
        if session and session.lives > now + session.lease then
            renew(session)
        end
    end
end

-- Forgets a session, its links, its lanes and its cells; its leases are gone already.
local function forget_session(id)
    write_counts()
    for _, name in ipairs(call('HKEYS', key('k', id))) do
        call('SREM', key('by', name), id)
    end
    call('DEL', key('s', id), key('k', id), key('a', id), key('t', id))
    call('ZREM', PREFIX .. 'sessions', id)
    sessions[id] = false
    drop_owned(id)
end

-- What a session says of a job, if it links it.
local links = {}
local function link_of(session, name)
    local known = links[session] or {}
    links[session] = known
    if known[name] == nil then
        local found = call('HGET', key('k', session), name)
        known[name] = found and unpacked(found)
    end
    return known[name] or nil
end

-- The live sessions that link a job, but for that one.
local function linked_by(name, but)
    local live = {}
    for _, id in ipairs(call('SMEMBERS', key('by', name))) do
        local session = id ~= but and session_of(id) or nil
        if is_alive(session) then
            live[#live + 1] = session
        end
    end
    return live
end

-- A session as callers are told it.
local function session_told(session)
    local holds = call('HGET', key('s', session.id), 'holds') or '0'
    return { session.id, session.node, holds, text(session.lives) }
end
