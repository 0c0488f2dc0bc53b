-- Runs, newest first: a page of them, of one job if it is named. With `run`, that one.

if ask.run then
    local run = run_of(ask.run)
    return answer(run and { run_told(run) } or {})
end
local index = PREFIX .. 'runs'
if ask.job then
    local job = known_job(ask.job)
    if not job then
        return answer({})
    end
    index = key('jr', job)
end
local before = ask.before and '(' .. ask.before or '+inf'
local listed = {}
for _, id in ipairs(call('ZREVRANGEBYSCORE', index, before, '-inf', 'LIMIT', 0, ask.limit)) do
    listed[#listed + 1] = run_told(run_of(id))
end
return answer(listed)
