-- Dead items in the order of their deaths, newest first: a page of them, of one job if it is named.

local index = PREFIX .. 'dead'
if ask.job then
    local job = known_job(ask.job)
    if not job then
        return answer({})
    end
    index = key('jx', job)
end
local before = ask.before and '(' .. ask.before or '+inf'
local listed = {}
for _, item in ipairs(call('ZREVRANGEBYSCORE', index, before, '-inf', 'LIMIT', 0, ask.limit)) do
    local found = call('HMGET', key('x', item), 'chunk', 'payload', 'number')
    local chunk, attempts = unpacked(found[1]), {}
    for i, failure in ipairs(call('LRANGE', key('f', item), 0, -1)) do
        attempts[i] = failure_told(unpacked(failure))
    end
    local run = chunk.tracked and '' or chunk.number
    listed[#listed + 1] = { found[3], item, name_of(home(chunk.job)), run, found[2], attempts }
end
return answer(listed)
