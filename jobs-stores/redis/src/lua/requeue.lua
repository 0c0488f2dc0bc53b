-- Moves dead items into a new run, in chunks that were made of them: ARGV from 3 on are their bodies. Does nothing if
-- one of the items is no longer dead.

local before = call('HGET', PREFIX .. 'requests', ask.request)
local made = before and run_of(before)
if made then
    return answer({ 'requeued', before, made.total })
end
if #ask.items == 0 then
    return answer({ 'none' })
end
local job = known_job(ask.job)
for i, item in ipairs(ask.items) do
    local found = call('HMGET', key('x', item), 'number', 'chunk')
    local chunk = found[2] and unpacked(found[2])
    if found[1] ~= ask.numbers[i] or not chunk or home(chunk.job) ~= job then
        return answer({ 'changed' })
    end
end
local id = number()
-- It holds no tick of its job, so nothing of it is fresh.
local items = text(#ask.items)
new_run(id, { job = job, trigger = 'Requeued', total = items, note = ask.note, request = ask.request })
exhume(job, ask.items)
for i, chunk in ipairs(ask.chunks) do
    chunk.job, chunk.number, chunk.due, chunk.enqueued_at = job, id, now, now
    store(with_body(chunk, ARGV[2 + i], chunk.count))
end
return answer({ 'requeued', id, items })
