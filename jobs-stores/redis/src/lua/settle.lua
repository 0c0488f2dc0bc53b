-- Settles items, then leases more.

-- What the session's lanes were answered last, the leases by their tokens.
local lane = key('a', ask.session)

-- The same answer again, with those of its leases that are held still.
local function again(before)
    local leases = {}
    for _, token in ipairs(before.leases) do
        leases[#leases + 1] = held(ask.session, token)
    end
    return { leases_told(leases), before.lost, before.ended, before.due }
end

-- When the next item is due of a job that the session links.
local function next_due(session)
    local from = 0
    repeat
        local page = call('ZRANGE', PREFIX .. 'due', from, from + 15, 'WITHSCORES')
        for i = 1, #page, 2 do
            if link_of(session.id, name_of(page[i])) then
                return page[i + 1]
            end
        end
        from = from + 16
    until #page == 0
    return ''
end

-- A chunk that this build could not decode: it is not offered to it again.
local function not_decoded(chunk, build, message)
    local before = chunk.undecodable or { since = now, builds = {} }
    local builds = { unpack(before.builds) }
    local knows = false
    for _, failed in ipairs(builds) do
        knows = knows or failed == build
    end
    if not knows then
        builds[#builds + 1] = build
    end
    chunk.undecodable = { since = before.since, message = message, builds = builds }
end

-- Whether anything of it was still to be settled.
local function settle_one(session, settlement, ended)
    local lease = held(session.id, settlement.token)
    local stretches = settle_items(lease, settlement.from, settlement.to)
    for _, stretch in ipairs(stretches) do
        local chunk = part_of(lease.chunk, stretch[1], stretch[2])
        if settlement.kind == 'undecodable' then
            not_decoded(chunk, session.build, settlement.message)
        end
        end_attempt(chunk, settlement, ended)
    end
    return #stretches > 0
end

even_if_full()
local session = session_of(ask.session)
local lost, ended = {}, {}
if not session then
    -- Its leases went with it.
    for i, settlement in ipairs(ask.settlements) do
        lost[i] = settlement.token
    end
    return answer({ {}, lost, {}, '' })
end

local before = call('HGET', lane, ask.lane)
before = before and unpacked(before)
if before and before.n >= ask.n then
    return answer(before.n == ask.n and again(before) or { {}, {}, {}, '' })
end

local is_lost, changed = {}, {}
for _, settlement in ipairs(ask.settlements) do
    local lease = held(session.id, settlement.token)
    if lease then
        if settle_one(session, settlement, ended) then
            changed[settlement.token] = lease
            for _, put in ipairs(settlement.effects or {}) do
                put_cell(put)
            end
        end
    elseif not is_lost[settlement.token] then
        is_lost[settlement.token] = true
        lost[#lost + 1] = settlement.token
    end
end
for _, lease in pairs(changed) do
    write_lease(lease)
end
promote()
local leases = grant(session)
local tokens = {}
for i, lease in ipairs(leases) do
    tokens[i] = lease.token
end
local due = next_due(session)
call('HSET', lane, ask.lane, pack({ n = ask.n, leases = tokens, lost = lost, ended = ended, due = due }))
return answer({ leases_told(leases), lost, ended, due })
