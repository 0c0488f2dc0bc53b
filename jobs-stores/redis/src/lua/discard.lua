-- Removes dead items, and says how many of them were there. Idempotent by request, for a day.

local DAY = 24 * 3600 * 1000

local name = 'discarded/' .. ask.request
local before = cell_of(name)
if before then
    return answer({ before.value })
end
even_if_full()
local removed = 0
for _, item in ipairs(ask.items) do
    local found = call('HGET', key('x', item), 'chunk')
    if found then
        exhume(home(unpacked(found).job), item)
        removed = removed + 1
    end
end
put_cell({ name = name, value = text(removed), expires_in = DAY })
return answer({ text(removed) })
