-- Opens a session: its node record and what it links.

local id, reaped = ask.session, new_reaped()
set_waits_right()
for _, gone in ipairs(ask.gone) do
    local session = session_of(gone)
    if session and not has_left(session) then
        -- What this step does not take back is for the next reap.
        call('HSET', key('s', gone), 'until', GONE_AT)
        call('ZADD', PREFIX .. 'sessions', GONE_AT, gone)
        session.lives = tonumber(GONE_AT)
    end
    bring_back(gone, reaped)
end

local before = session_of(id)

-- Whether the session links the same as it did.
local function links_the_same()
    if not before or call('HLEN', key('k', id)) ~= #ask.links then
        return false
    end
    for _, link in ipairs(ask.links) do
        local linked = link_of(id, link.job)
        if not linked or linked.json ~= link.json then
            return false
        end
    end
    return true
end

-- Stores what a session links, instead of what it linked before.
local function save_links()
    for _, name in ipairs(call('HKEYS', key('k', id))) do
        call('SREM', key('by', name), id)
    end
    call('DEL', key('k', id))
    for _, link in ipairs(ask.links) do
        call('HSET', key('k', id), link.job, pack(link))
        call('SADD', key('by', link.job), id)
    end
    call('HSET', key('s', id), 'linked', #ask.links, 'linked_at', number())
end

-- Stores the session. A repeat does not begin its first lease anew.
local function open_session(past)
    local lives = now + ask.lease
    local connected = is_alive(before) and math.min(before.connected, now) or now
    call('HSET', key('s', id), 'lease', text(ask.lease), 'until', text(lives), 'connected', text(connected),
        'node', ask.node, 'name', ask.name, 'build', ask.build, 'past', pack(past))
    call('ZADD', PREFIX .. 'sessions', text(lives), id)
end

-- The other sessions that live, or hold something.
local function others()
    write_counts()
    local listed = {}
    local all = call('ZRANGE', PREFIX .. 'sessions', 0, -1)
    table.sort(all)
    for _, other in ipairs(all) do
        local session = other ~= id and session_of(other) or nil
        if session then
            local record_told = session_told(session)
            if is_alive(session) or tonumber(record_told[3]) > 0 then
                listed[#listed + 1] = record_told
            end
        end
    end
    return listed
end

local again = links_the_same()
local schedules, past, ahead = {}, before and before.past or {}, {}
for _, link in ipairs(ask.links) do
    local is_known = known_job(link.job) and call('HEXISTS', job_key(known_job(link.job)), 'link') == 1
    if not gives_way(link, id) then
        -- A repeat changes nothing, for it may come after what others have said since; but for a declaration that nobody
        -- declares any more, which an older one may follow now.
        if not again then
            rename(link)
        end
        if not again or not is_known then
            link_job(link)
        end
        local instant = declare(link, id)
        if instant then
            past[#past + 1] = { link.job, text(instant) }
        end
        ahead[#ahead + 1] = look_ahead(link)
        local schedule = link.fingerprint and schedule_of(link.job)
        if schedule then
            schedules[#schedules + 1] = { link.job, state(schedule) }
        end
    end
end
local listed = others()
open_session(past)
if not again then
    save_links()
end
return answer({ schedules, past, reaped_told(reaped), listed, ahead })
