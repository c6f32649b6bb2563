-- beat, release or judge leases. ARGV: verb, timings (JSON), then the verb's own.
local verb, T = ARGV[1], cjson.decode(ARGV[2])
local now = now_ms()
if verb == 'beat' then
  notice_silence(now, T)
  redis.call('ZADD', P .. ':leases', now, ARGV[3])
  redis.call('HSET', P .. ':said', ARGV[3], ARGV[4])
  -- A process that has been silent for an hour is no longer listed; its jobs were settled long ago.
  -- Not in a grace: an unknown lease is gone at once, and after an outage it may only be late.
  if redis.call('EXISTS', P .. ':grace') == 0 then
    for _, lease in ipairs(redis.call('ZRANGEBYSCORE', P .. ':leases', '-inf', now - 3600000)) do
      redis.call('ZREM', P .. ':leases', lease)
      redis.call('HDEL', P .. ':said', lease)
    end
  end
  return 1
elseif verb == 'release' then
  redis.call('ZREM', P .. ':leases', ARGV[3])
  redis.call('HDEL', P .. ':said', ARGV[3])
  for _, id in ipairs(redis.call('ZRANGE', P .. ':i:owner:' .. ARGV[3], 0, -1)) do
    redis.call('ZADD', P .. ':i:due', now, id)
  end
  return 1
elseif verb == 'gone' then
  local answers = {}
  for i = 3, #ARGV do answers[#answers + 1] = lease_gone(ARGV[i], now, T) and 1 or 0 end
  return answers
end
local listed = {}
local all = redis.call('ZRANGE', P .. ':leases', 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  local said = redis.call('HGET', P .. ':said', all[i]) or '{}'
  listed[#listed + 1] = { all[i], all[i + 1], lease_alive(all[i], now, T) and 1 or 0, said }
end
return listed
