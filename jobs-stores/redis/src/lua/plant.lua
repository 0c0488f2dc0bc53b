-- Stores a ready chunk as it is: a test hook. ARGV[3] is its body.

local chunk = ask.chunk
chunk.job = job_of(chunk.job)
store(with_body(chunk, ARGV[3], chunk.count))
return answer({})
