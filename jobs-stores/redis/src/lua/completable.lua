-- Runs whose items have all ended and that nobody completed. Those that have lost their records are taken from the list.

local listed = {}
for _, id in ipairs(call('ZRANGE', PREFIX .. 'ended', 0, ask.limit - 1)) do
    if call('EXISTS', key('r', id)) == 1 then
        listed[#listed + 1] = id
    else
        call('ZREM', PREFIX .. 'ended', id)
    end
end
return answer(listed)
