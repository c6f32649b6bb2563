-- Handshake-era sessions. ARGV: verb, id, the time a session lives after
-- a sign of life (ms; for `leave` the time of a note), then the verb's own.
local verb, id, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key, all = P .. ':s:' .. id, P .. ':sessions'
local now = now_ms()

local function seen()
  redis.call('HSET', key, 'seen_at', whole(now))
  redis.call('PEXPIRE', key, life)
  redis.call('ZADD', all, now + life, id)
end

if verb == 'create' then
  redis.call('ZREMRANGEBYSCORE', all, '-inf', now)
  local there = redis.call('EXISTS', key) == 1 -- of an earlier try, whose answer was lost
  if not there and redis.call('ZCARD', all) >= tonumber(ARGV[4]) then return 0 end
  redis.call('HSET', key, 'said', ARGV[5], 'created_at', whole(now))
  seen()
  return 1
elseif verb == 'get' then
  local seen_at = redis.call('HGET', key, 'seen_at')
  if seen_at and now - tonumber(seen_at) >= tonumber(ARGV[4]) then seen() end
  return redis.call('HGETALL', key)
elseif verb == 'level' then
  if redis.call('EXISTS', key) == 0 then return 0 end
  redis.call('HSET', key, 'level', ARGV[4])
  return 1
elseif verb == 'leave' then
  redis.call('SET', key .. ':n:' .. ARGV[4], ARGV[5], 'PX', life)
  return 1
end
redis.call('ZREM', all, id)
return redis.call('DEL', key)
