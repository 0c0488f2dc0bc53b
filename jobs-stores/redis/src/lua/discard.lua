-- Removes dead items, and says how many of them were there. Idempotent by request, for as long as a repeat may come.

local before = cell_of(ask.cell)
if before then
    return answer({ before.value })
end
even_if_full()
local by_job, removed = {}, 0
for _, item in ipairs(ask.items) do
    local found = call('HGET', key('x', item), 'chunk')
    local chunk = found and unpacked(found)
    if chunk then
        local job = home(chunk.job)
        by_job[job] = by_job[job] or {}
        if not by_job[job][item] then
            by_job[job][item], removed = true, removed + 1
            table.insert(by_job[job], item)
        end
    end
end
for job, items in pairs(by_job) do
    exhume(job, items)
end
-- Of many the last part keeps the answer to all.
removed = removed + ask.before
if ask.is_last then
    put_cell({ name = ask.cell, value = text(removed), expires_in = REPEATED })
end
return answer({ text(removed) })
