-- Moves cursors over ticks that do not fire, with their verdicts.

local function pass_one(pass)
    local schedule = schedule_of(pass.schedule)
    if not schedule or schedule.fingerprint ~= pass.fingerprint then
        return { 'stale' }
    end
    if schedule.cursor ~= pass.cursor then
        return { 'already', state(schedule) }
    end
    local last_of_them = pass.passed[#pass.passed]
    if last_of_them and last_of_them.last > now then
        return { 'not yet' }
    end
    record(schedule, pass.passed)
    return { 'passed' }
end

local passings = {}
for i, pass in ipairs(ask.passes) do
    passings[i] = pass_one(pass)
end
return answer(passings)
