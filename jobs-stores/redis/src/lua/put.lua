-- Writes a cell if its version is still the expected one.

local there = cell_of(ask.name)
if (there and there.version or '0') ~= ask.expected then
    return answer({ 'differs', cell_told(there) })
end
local version = put_cell(ask)
if not version then
    return answer({ 'differs', cell_told(there) })
end
return answer({ 'put', version })
