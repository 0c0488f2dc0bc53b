-- What every script begins with: its time, its keys, the numbers of the namespace, and how it answers.
--
-- KEYS[1] is the key `meta` of the namespace, ARGV[1] the offset of the clock in milliseconds, ARGV[2] the request in
-- JSON, and what follows is binary. All keys are under one prefix, which is one hash tag: one slot.
--
-- A number of the namespace has up to 16 digits, and the texts that Lua makes of numbers by itself have 14. So what
-- names something (runs, leases, lines, jobs, bodies, sessions) is text wherever it is not reckoned with, and `text`
-- is the only way from one to the other.

local call, pack = redis.call, cmsgpack.pack
local META = KEYS[1]
local PREFIX = string.sub(META, 1, -5)

local known = call('HMGET', META, 'schema', 'last', 'moved', 'steered')
if known[1] and not tonumber(known[1]) then
    return redis.error_reply('FOREIGN the key ' .. META .. ' says no schema')
elseif known[1] and tonumber(known[1]) > SCHEMA then
    return redis.error_reply('NEWERSCHEMA ' .. known[1])
end

-- A server that removed this key may have kept what it speaks of.
if not known[1] and call('EXISTS', PREFIX .. 'moved') == 1 then
    known[3] = '1'
end

local clock = call('TIME')
-- The store's time, in milliseconds since 1970.
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1])
local ask = cjson.decode(ARGV[2])

local function key(kind, id)
    return PREFIX .. kind .. ':' .. id
end

-- A table that was packed; nothing if the bytes are none.
local function unpacked(bytes)
    local is_read, value = pcall(cmsgpack.unpack, bytes)
    return is_read and type(value) == 'table' and value or nil
end

-- A whole number as text, with all of its digits.
local function text(number)
    return string.format('%.0f', number)
end

-- Text of a number, so long that the order of such texts is that of the numbers.
local function padded(digits)
    return string.rep('0', 16 - #digits) .. digits
end

-- The next number of the namespace's one source. It grows whatever the clock says, for the last one is kept; and it grows
-- over restores and failovers, where the last one may be lost, for it is never behind the clock, and never ahead of it:
-- there are 1,024 numbers in a millisecond, and a server draws no more than some hundred, each for a write of its own.
-- (The clocks of a server and of its replica have to agree to within the time that a failover takes.) Numbers are
-- reserved before they are used, so that none comes again when a step fails half way; what is left of them at the end is
-- given back.
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

local function give_back_numbers()
    if taken > last then
        call('HSET', META, 'last', text(last))
        taken = last
    end
end

-- So many values are given to one command: Lua has no room for many more. It is even, for pairs.
local VARIADIC = 1000

-- How many records this step may still touch one by one.
local budget = STEP_RECORDS

-- What those who wait are told: `work`, `runs` or `control`; and the caller alone, if something is `unread`.
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
            -- Less than nothing is left where the counter was lost meanwhile.
            if n ~= 0 and call('HINCRBY', of, field, n) <= 0 then
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
local at_end = { write_counts, give_back_numbers }
local function answer(value)
    for _, write in ipairs(at_end) do
        write()
    end
    local told = (marks.work and 'w' or '') .. (marks.runs and 'r' or '') .. (marks.control and 'c' or '')
    if told ~= '' then
        -- A hint: whoever may not publish has done the rest all the same.
        redis.pcall('PUBLISH', PREFIX .. 'wake', told)
    end
    return { now, told .. (marks.unread and 'u' or ''), value }
end
