-- Settles items, then leases more.

-- What the session's lanes were answered last, the leases by their tokens.
local lane = key('a', ask.session)

-- A lease of which the server has lost the payload since: the items are given back, and found dead when they are leased.
local function lose_lease(lease)
    for _, chunk in ipairs(forget(lease)) do
        end_attempt(chunk, { kind = 'back' }, {})
    end
    return false
end

-- The same answer again, with those of its leases that are held still.
local function again(before)
    local leases = {}
    for _, token in ipairs(before.leases) do
        local lease = held(ask.session, token)
        lease = lease and lease.chunk.body and not payload(lease.chunk) and lose_lease(lease) or lease
        leases[#leases + 1] = lease or nil
    end
    return { leases_told(leases), before.lost, before.ended, before.due }
end

-- So many jobs are looked at for the next due time.
local LOOKED_AT = 64

-- When the next item is due of a job that the session links. Behind very many others it is when the last of those is: too
-- early is no harm.
local function next_due(session)
    local page = call('ZRANGE', PREFIX .. 'due', 0, LOOKED_AT - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
        if link_of(session.id, name_of(page[i])) then
            return page[i + 1]
        end
    end
    return #page == 2 * LOOKED_AT and page[#page] or ''
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
local leases, goes_on = grant(session)
for _, run in ipairs(over_at_grant) do
    ended[#ended + 1] = run
end
local tokens = {}
for i, lease in ipairs(leases) do
    tokens[i] = lease.token
end
-- What this step could not look at is looked at by the next call, at once.
local due = goes_on and text(now) or next_due(session)
call('HSET', lane, ask.lane, pack({ n = ask.n, leases = tokens, lost = lost, ended = ended, due = due }))
return answer({ leases_told(leases), lost, ended, due })
