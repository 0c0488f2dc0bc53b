-- Takes the items of expired sessions back, and ends items that no live build can decode.

local reaped, caller = new_reaped(), session_of(ask.session)
if not is_alive(caller) or now - caller.connected < caller.lease then
    return answer(reaped_told(reaped))
end

-- Whether every live build that links a job has failed to decode an item, for long enough, as
-- `jobs_core::is_undecodable` says.
local function is_hopeless(failed, builds)
    if now - failed.since < UNDECODABLE_AFTER or not next(builds) then
        return false
    end
    local knows = {}
    for _, build in ipairs(failed.builds) do
        knows[build] = true
    end
    for build in pairs(builds) do
        if not knows[build] then
            return false
        end
    end
    return true
end

local function bury_undecodable(line)
    local builds = {}
    for _, session in ipairs(linked_by(name_of(line.job))) do
        builds[session.build] = true
    end
    local buried = false
    for _, bytes in ipairs(call('ZRANGE', key('z', line.id), 0, -1)) do
        local chunk = of_member(bytes)
        if is_hopeless(chunk.undecodable, builds) then
            take_out(line, bytes, chunk)
            buried = true
            for index = 0, chunk.count - 1 do
                local one = part_of(chunk, index, index + 1)
                kill(one, 'Undecodable', chunk.undecodable.message, '', reaped)
            end
        end
    end
    if buried then
        restand(line)
    end
end

even_if_full()
local expired = call('ZRANGEBYSCORE', PREFIX .. 'sessions', '-inf', '(' .. text(now))
table.sort(expired)
for _, id in ipairs(expired) do
    bring_back(id, reaped)
end
local aside = call('SMEMBERS', PREFIX .. 'aside')
table.sort(aside)
for _, id in ipairs(aside) do
    bury_undecodable(line_of(id))
end
return answer(reaped_told(reaped))
