-- A page of the items of a run that have not ended, and where the next page begins: of those in flight, of those that
-- are ready, of those that wait for their time. `place` says which of the places to look at comes next, and `at` where in it.

-- So many chunks are looked at for one page.
local LOOKED_AT = 250

local run = run_of(ask.run)
if not run then
    return answer({ {}, {} })
end

local listed, looked = {}, 0

local function is_of_run(chunk)
    return chunk.number == run.id and not chunk.tracked
end

-- Tells a chunk of the run: of its items at most as many as are asked for, and all where some are settled.
local function tell(chunk, state_of_them, more)
    local shown = part_of(chunk, 0, more.settled and chunk.count or math.min(chunk.count, ask.limit))
    local bytes = payload(shown)
    if shown.body and not bytes then
        return
    end
    listed[#listed + 1] =
        { state_of_them, more.since or '', more.node or '', told(shown, bytes), more.settled or '' }
end

-- Those that a session holds, from a mark on.
local function in_flight_items(id, mark_of_page)
    local page = call('HSCAN', leases_of(id), mark_of_page, 'COUNT', LOOKED_AT)
    local session = session_of(id)
    for i = 1, #page[2], 2 do
        local lease = held(id, page[2][i])
        if lease and is_of_run(lease.chunk) then
            local more = { since = text(lease.granted), node = session and session.name, settled = lease.settled }
            tell(lease.chunk, 'in flight', more)
        end
        looked = looked + 1
    end
    return page[1]
end

-- Those of a sorted set, from a place on. Returns the next place; nothing at the end.
local function items_of(of, at, state_of_them)
    local found, mine = call('ZRANGE', of, at, at + LOOKED_AT - 1), padded(run.id)
    for _, bytes in ipairs(found) do
        local chunk = string.sub(bytes, 1, 16) == mine and of_member(bytes)
        if chunk and is_of_run(chunk) then
            tell(chunk, state_of_them, { since = state_of_them == 'delayed' and text(chunk.due) or '' })
        end
    end
    looked = looked + #found
    return #found == LOOKED_AT and at + LOOKED_AT or nil
end

-- Those that its query found and nobody has touched.
local function found_items(id, at)
    local found = call('LRANGE', key('q', id), at, at + LOOKED_AT - 1)
    for _, bytes in ipairs(found) do
        local chunk = of_element(bytes)
        if chunk then
            tell(chunk, 'ready', {})
        end
    end
    looked = looked + #found
    return #found == LOOKED_AT and at + LOOKED_AT or nil
end

-- What there is to look at, in order: each place is looked through page by page.
local function places()
    local all = {}
    for _, id in ipairs(call('ZRANGE', PREFIX .. 'sessions', 0, -1)) do
        all[#all + 1] = { 'f', id }
    end
    local own = find_line(run.job, WORK_LINE, run.id, '')
    if own then
        all[#all + 1] = { 'q', own }
    end
    local lines = shared_lines(run.job)
    lines[#lines + 1] = own or nil
    for _, id in ipairs(lines) do
        all[#all + 1] = { 'z', id }
    end
    all[#all + 1] = { 'd', run.id }
    all[#all + 1] = { 'd', 'c' .. run.id }
    return all
end

local all, place, at = places(), ask.place, ask.at
while all[place] and looked < LOOKED_AT and #listed < LOOKED_AT do
    local kind, id = all[place][1], all[place][2]
    local next_at
    if kind == 'f' then
        local mark_of_page = in_flight_items(id, at)
        next_at = mark_of_page ~= '0' and mark_of_page or nil
    elseif kind == 'q' then
        next_at = found_items(id, tonumber(at))
    else
        next_at = items_of(key(kind, id), tonumber(at), kind == 'z' and 'ready' or 'delayed')
    end
    if next_at then
        at = next_at
    else
        place, at = place + 1, '0'
    end
end
return answer({ all[place] and { place, tostring(at) } or {}, listed })
