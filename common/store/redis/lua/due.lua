-- Takes records whose check is due. ARGV: limit, milliseconds until each comes back by itself.
local now = now_ms()
local due = P .. ':i:due'
local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[1])
-- More than that are due: the latest are taken, too, so that none stands behind all the others.
if #ids == tonumber(ARGV[1]) then
  local seen = {}
  for _, id in ipairs(ids) do seen[id] = true end
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', due, now, '-inf', 'LIMIT', 0, ARGV[1])) do
    if not seen[id] then ids[#ids + 1] = id end
  end
end
local heads = {}
for _, id in ipairs(ids) do
  local head, flat = read_head(id)
  if head then
    heads[#heads + 1] = flat
    redis.call('ZADD', due, now + ARGV[2], id)
  else
    redis.call('ZREM', due, id)
  end
end
return heads
