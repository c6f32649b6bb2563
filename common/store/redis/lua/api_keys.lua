-- API keys. ARGV: verb, a revision, then for a change the channel prefix and the verb's own.
local verb, revision = ARGV[1], ARGV[2]
local keys, current = P .. ':keys', P .. ':keys:revision'
local found = redis.call('GET', current) or ''

if verb == 'read' then
  if found == revision then return false end
  return { found, redis.call('HGETALL', keys) }
end

if found == revision then return 1 end -- this very change, whose answer was lost
if verb == 'create' then
  local name, life = ARGV[4], tonumber(ARGV[5])
  if redis.call('HEXISTS', keys, name) == 1 then return 0 end
  local now = now_ms()
  local ends = life > 0 and now + life or 0
  redis.call('HSET', keys, name, whole(now) .. ' ' .. whole(ends) .. ' ' .. ARGV[6])
elseif redis.call('HDEL', keys, ARGV[4]) == 0 then
  return 0
end
redis.call('SET', current, revision)
redis.call('PUBLISH', ARGV[3] .. 'news', 'keys')
return 1
