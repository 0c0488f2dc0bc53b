-- Opens a namespace: says whether what is there belongs to something else, and whether it can be written.

if not known[1] then
    for _, name in ipairs({ 'meta', 'jobs', 'runs', 'sessions', 'cells', 'heads', 'due', 'dead', 'dropped' }) do
        if call('EXISTS', PREFIX .. name) == 1 then
            return redis.error_reply('FOREIGN the key ' .. PREFIX .. name .. ' is there without a schema')
        end
    end
end
-- Written each time, so that a server that only reads says so now.
call('HSET', META, 'schema', SCHEMA)
return answer({})
