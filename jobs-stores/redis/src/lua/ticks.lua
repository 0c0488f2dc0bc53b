-- The verdicts of a schedule, newest first.

local listed, job = {}, known_job(ask.schedule)
local found = job and ask.limit > 0 and call('LRANGE', key('tk', job), -ask.limit, -1) or {}
for i = #found, 1, -1 do
    local verdict = unpacked(found[i])
    listed[#listed + 1] =
        { text(verdict.tick), text(verdict.last), text(verdict.count), verdict.verdict, verdict.run or '' }
end
return answer(listed)
