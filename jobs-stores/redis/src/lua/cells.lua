-- The cells whose names begin with a prefix, in the order of their names; or the one of a name.

local listed = {}
if ask.name then
    local cell = cell_of(ask.name)
    return answer(cell and { { ask.name, cell_told(cell) } } or {})
end
for _, name in ipairs(call('ZRANGEBYLEX', PREFIX .. 'names', '[' .. ask.prefix, '(' .. ask.prefix .. '\255')) do
    local cell = cell_of(name)
    if cell then
        listed[#listed + 1] = { name, cell_told(cell) }
    end
end
return answer(listed)
