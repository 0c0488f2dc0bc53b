-- Every job that is known, or the one of a name.

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

local listed = {}
if ask.name then
    local job = known_job(ask.name)
    return answer(job and { job_told(ask.name, job) } or {})
end
local all = call('HKEYS', PREFIX .. 'jobs')
table.sort(all)
for i, name in ipairs(all) do
    listed[i] = job_told(name, known_job(name))
end
return answer(listed)
