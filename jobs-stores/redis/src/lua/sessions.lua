-- Every session.

local listed = {}
for _, id in ipairs(call('ZRANGE', PREFIX .. 'sessions', 0, -1)) do
    listed[#listed + 1] = session_told(session_of(id))
end
return answer(listed)
