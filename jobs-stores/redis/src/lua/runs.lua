-- Runs, newest first: a page of them, of one job if it is named, and where it ended. With `run`, that one.

if ask.run then
    local run = run_of(ask.run)
    return answer({ '', run and { run_told(run) } or {} })
end
local index = PREFIX .. 'runs'
if ask.job then
    local job = known_job(ask.job)
    if not job then
        return answer({ '', {} })
    end
    index = key('jr', job)
end
local before = ask.before and '(' .. ask.before or '+inf'
local listed = {}
local found = call('ZREVRANGEBYSCORE', index, before, '-inf', 'LIMIT', 0, ask.limit)
for _, id in ipairs(found) do
    local run = run_of(id)
    listed[#listed + 1] = run and run_told(run)
end
-- What has lost its record is passed over, and the next page begins behind it.
return answer({ #found == ask.limit and found[#found] or '', listed })
