-- The next look at records that stay as they are. ARGV: id, version, ms, for each in turn.
for i = 1, #ARGV, 3 do
  local key = P .. ':j:' .. ARGV[i]
  local known = redis.call('HMGET', key, 'version', 'format')
  if known[1] == ARGV[i + 1] and tonumber(known[2] or '0') <= C.format then
    redis.call('HINCRBY', key, 'checks', 1)
    redis.call('ZADD', P .. ':i:due', ARGV[i + 2], ARGV[i])
  end
end
return 1
