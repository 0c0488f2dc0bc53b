-- A page of the jobs that are known, and where the next one begins (`0`: there is none); or the job of a name.

local function job_told(name, job)
    local of = fields_of(job_key(job))
    local in_flight_of = 0
    for _, n in ipairs(call('HVALS', key('held', job))) do
        in_flight_of = in_flight_of + tonumber(n)
    end
    local schedule = schedule_of(name)
    return {
        name,
        of.link or '',
        schedule and state(schedule) or {},
        #linked_by(name) > 0 and 1 or 0,
        of.ready or '0',
        of.delayed or '0',
        text(in_flight_of),
        text(call('ZCARD', key('jx', job))),
    }
end

if ask.name then
    local job = known_job(ask.name)
    return answer({ '0', job and { job_told(ask.name, job) } or {} })
end
local page, listed = call('HSCAN', PREFIX .. 'jobs', ask.cursor, 'COUNT', ask.limit), {}
for i = 1, #page[2], 2 do
    listed[#listed + 1] = job_told(page[2][i], page[2][i + 1])
end
return answer({ page[1], listed })
