-- Dead items of these ids, of that job if one is named, in the order of their deaths: to be tried again. What is made of
-- them is stored only if they are all there still (`requeue.lua`).

if call('HEXISTS', PREFIX .. 'requests', ask.request) == 1 then
    return answer({})
end
local job, graves, seen = known_job(ask.job), {}, {}
for _, item in ipairs(ask.items) do
    local found = not seen[item] and call('HMGET', key('x', item), 'chunk', 'payload', 'number')
    seen[item] = true
    local chunk = job and found and found[1] and found[3] and unpacked(found[1])
    if chunk then
        chunk.job = home(chunk.job)
        if chunk.job == job then
            graves[#graves + 1] = { found[3], item, told(chunk), found[2] or 'null\n' }
        end
    end
end
table.sort(graves, function(a, b)
    return padded(a[1]) < padded(b[1])
end)
return answer(graves)
