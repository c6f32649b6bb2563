-- Take entries of documents away. ARGV: `remove`, a token, hash, owner; or `expire`, a limit.
-- Answers hash and place of each; an empty place: others have the content, too.
local function take(sha, owner)
  local key, field = P .. ':d:' .. sha, 'o:' .. owner
  local row = redis.call('HGET', key, field)
  if not row then return nil end
  local member = string.format('%015.0f', tonumber(string.match(row, '^%d+'))) .. ':' .. sha .. ':' .. owner
  for _, index in ipairs({ ':docs', ':docs:everyone', ':docs:of:' .. owner }) do
    redis.call('ZREM', P .. index, member)
  end
  redis.call('ZREM', P .. ':docs:end', sha .. ' ' .. owner)
  redis.call('HDEL', key, field)
  if redis.call('HLEN', key) > 1 then return { sha, '' } end
  local place = redis.call('HGET', key, 'place')
  redis.call('DEL', key)
  return { sha, place }
end

if ARGV[1] == 'remove' then
  local done = P .. ':docs:done:' .. ARGV[2]
  local before = redis.call('GET', done)
  if before then return { { ARGV[3], before } } end -- this very removal, whose answer was lost
  local taken = take(ARGV[3], ARGV[4])
  if not taken then return {} end
  redis.call('SET', done, taken[2], 'PX', 60000)
  return { taken }
end

local gone = {}
local over = redis.call('ZRANGEBYSCORE', P .. ':docs:end', '-inf', whole(now_ms()), 'LIMIT', 0, ARGV[2])
for _, each in ipairs(over) do
  gone[#gone + 1] = take(string.sub(each, 1, 64), string.sub(each, 66))
end
return gone
