-- Cancels a run: its waiting items at once, its running ones when they are settled. A repeat goes on with what waits.

local run = run_of(ask.run)
if not run then
    return answer({ 'none' })
end
local is_again = call('HEXISTS', PREFIX .. 'cancelling', run.id) == 1
if run.over or (all_ended(run) and not is_again) then
    return answer({ 'over' })
end
even_if_full()
set(run, 'cancelled', '1')
call('SADD', PREFIX .. 'cancels', run.id)
-- What was found so far is dropped; the fill item ends when it is settled.
local lease = run.fill_lease
unstage(run)
if run.filling and lease then
    set(run, 'fill_lease', lease)
end
local is_more = end_waiting(run, {})
mark('control')
return answer({ 'cancelled', is_more and 1 or 0 })
