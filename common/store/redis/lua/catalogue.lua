-- Stores what a backend offers. ARGV: backend, digest, started_at, body (JSON), channel prefix.
local key = P .. ':catalogue'
local raw = redis.call('HGET', key, ARGV[1])
if raw then
  local old = cjson.decode(raw)
  -- Workers that disagree: the newest start wins, whoever speaks last.
  if old[1] == ARGV[2] or old[2] > tonumber(ARGV[3]) then return 0 end
end
local header = cjson.encode({ ARGV[2], tonumber(ARGV[3]) })
redis.call('HSET', key, ARGV[1], string.sub(header, 1, -2) .. ',' .. ARGV[4] .. ']')
redis.call('PUBLISH', ARGV[5] .. 'news', 'catalogue')
return 1
