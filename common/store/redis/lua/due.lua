-- Takes records whose check is due. ARGV: limit, milliseconds until each comes back by itself.
local now = now_ms()
local ids = redis.call('ZRANGEBYSCORE', P .. ':i:due', '-inf', now, 'LIMIT', 0, ARGV[1])
local heads = {}
for _, id in ipairs(ids) do
  local head, flat = read_head(id)
  if head then
    heads[#heads + 1] = flat
    redis.call('ZADD', P .. ':i:due', now + ARGV[2], id)
  else
    redis.call('ZREM', P .. ':i:due', id)
  end
end
return heads
