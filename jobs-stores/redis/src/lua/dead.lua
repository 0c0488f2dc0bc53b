-- Dead items in the order of their deaths, newest first: a page of them, of one job if it is named, and where it ended.

local index = PREFIX .. 'dead'
if ask.job then
    local job = known_job(ask.job)
    if not job then
        return answer({ '', {} })
    end
    index = key('jx', job)
end
local before = ask.before and '(' .. ask.before or '+inf'
local listed = {}
local page = call('ZREVRANGEBYSCORE', index, before, '-inf', 'WITHSCORES', 'LIMIT', 0, ask.limit)
for i = 1, #page, 2 do
    local item = page[i]
    local found = call('HMGET', key('x', item), 'chunk', 'payload', 'number')
    local chunk, attempts = found[1] and unpacked(found[1]), {}
    if chunk and found[3] then
        for _, failure in ipairs(call('LRANGE', key('f', item), 0, -1)) do
            local kept = unpacked(failure)
            attempts[#attempts + 1] = kept and failure_told(kept)
        end
        local run = chunk.tracked and '' or chunk.number
        listed[#listed + 1] = { found[3], item, name_of(home(chunk.job)), run, found[2] or 'null\n', attempts }
    end
end
-- What cannot be read is passed over, and the next page begins behind it.
return answer({ #page == 2 * ask.limit and page[#page] or '', listed })
