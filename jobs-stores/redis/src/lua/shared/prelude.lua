-- What every script begins with: its time, its keys, the numbers of the namespace, and how it answers.
--
-- KEYS[1] is the key `meta` of the namespace, ARGV[1] the offset of the clock in milliseconds, ARGV[2] the request in
-- JSON, and what follows is binary. All keys are under one prefix, which is one hash tag: one slot.
--
-- A number of the namespace has up to 16 digits, and the texts that Lua makes of numbers by itself have 14. So what
-- names something (runs, leases, lines, jobs, bodies, sessions) is text wherever it is not reckoned with, and `text`
-- is the only way from one to the other.

local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack
local META = KEYS[1]
local PREFIX = string.sub(META, 1, -5)

local known = call('HMGET', META, 'schema', 'last', 'moved')
if known[1] and not tonumber(known[1]) then
    return redis.error_reply('FOREIGN the key ' .. META .. ' says no schema')
elseif known[1] and tonumber(known[1]) > SCHEMA then
    return redis.error_reply('NEWERSCHEMA ' .. known[1])
end

local clock = call('TIME')
-- The store's time, in milliseconds since 1970.
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1])
local ask = cjson.decode(ARGV[2])

local function key(kind, id)
    return PREFIX .. kind .. ':' .. id
end

-- A whole number as text, with all of its digits.
local function text(number)
    return string.format('%.0f', number)
end

-- Text of a number, so long that the order of such texts is that of the numbers.
local function padded(digits)
    return string.rep('0', 16 - #digits) .. digits
end

-- The next number of the namespace's one source: it grows whatever the clock says, and over restores and failovers,
-- for it is never behind the clock. So many are taken from it at once; those that are not used are left out.
local TAKEN = 64
local last = tonumber(known[2] or 0)
local taken = last
local function number()
    last = math.min(math.max(last + 1, now * 1024), MAX_NUMBER)
    if last > taken then
        taken = math.min(last + TAKEN - 1, MAX_NUMBER)
        call('HSET', META, 'schema', SCHEMA, 'last', text(taken))
    end
    return text(last)
end

-- What those who wait are told: `work`, `runs` or `control`.
local marks = {}
local function mark(what)
    marks[what] = true
end

-- What makes room, or keeps a session alive, is done by a server that is full as well: it refuses the first write of a
-- script that may take room, and none of those that follow one that takes none.
local function even_if_full()
    call('DEL', PREFIX .. 'full')
end

-- Counters that change in this step, by key and field; they are written once, at its end or before they are read.
local counted = {}
local function add(of, field, n)
    local fields = counted[of]
    if not fields then
        fields = {}
        counted[of] = fields
    end
    fields[field] = (fields[field] or 0) + n
end

local function write_counts()
    for of, fields in pairs(counted) do
        for field, n in pairs(fields) do
            if n ~= 0 and call('HINCRBY', of, field, n) == 0 then
                call('HDEL', of, field)
            end
        end
    end
    counted = {}
end

-- A hash as a table.
local function fields_of(of)
    local flat, fields = call('HGETALL', of), {}
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
    end
    return fields
end

-- What answers begin with is the store's time. What is to be written at the end of a step says so here.
local at_end = { write_counts }
local function answer(value)
    for _, write in ipairs(at_end) do
        write()
    end
    local told = (marks.work and 'w' or '') .. (marks.runs and 'r' or '') .. (marks.control and 'c' or '')
    if told ~= '' then
        -- A hint: whoever may not publish has done the rest all the same.
        redis.pcall('PUBLISH', PREFIX .. 'wake', told)
    end
    return { now, told, value }
end
