-- A job's output from a number on. ARGV: id, that number, how many at most. Answers the newest number
-- that ever was, then the rows.
local out = P .. ':j:' .. ARGV[1] .. ':out'
local last = tonumber(redis.call('HGET', out .. ':sums', 'last') or '0')
local first = last - redis.call('LLEN', out) + 1
local from = math.max(0, tonumber(ARGV[2]) + 1 - first)
return { last, redis.call('LRANGE', out, from, from + tonumber(ARGV[3]) - 1) }
