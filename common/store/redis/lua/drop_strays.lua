-- Takes out of an index what does not belong there. ARGV: index, how many of the highest entries are
-- looked at, then the states that belong.
local key = P .. ':i:' .. ARGV[1]
local belongs = {}
for i = 3, #ARGV do belongs[ARGV[i]] = true end
local dropped = 0
for _, id in ipairs(redis.call('ZREVRANGE', key, 0, ARGV[2] - 1)) do
  local known = redis.call('HMGET', P .. ':j:' .. id, 'state', 'format')
  local newer = (tonumber(known[2] or '0') or 0) > C.format
  if not newer and not belongs[known[1] or ''] then dropped = dropped + redis.call('ZREM', key, id) end
end
unlist_held(ARGV[1])
return dropped
