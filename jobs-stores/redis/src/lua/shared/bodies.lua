-- Bodies that come with a request, in ARGV.

-- Stores a body, and gives the chunk that has it.
local function with_body(chunk, bytes, count)
    chunk.body, chunk.at, chunk.count, chunk.whole = number(), 0, count, count
    call('SET', key('b', chunk.body), bytes)
    return chunk
end
