-- Fields of many records that decide nothing. ARGV: [[id, fields]] (JSON).
local now = now_ms()
for _, noted in ipairs(cjson.decode(ARGV[1])) do
  local key = P .. ':j:' .. noted[1]
  local known = redis.call('HMGET', key, 'id', 'format')
  if known[1] and tonumber(known[2] or '0') <= C.format then
    local write = {}
    for _, field in ipairs(noted[2]) do
      local value = resolve(field[3], field[2], now, redis.call('HGET', key, field[1]))
      write[#write + 1] = field[1]
      write[#write + 1] = type(value) == 'number' and whole(value) or value
    end
    redis.call('HSET', key, unpack(write))
  end
end
return 1
