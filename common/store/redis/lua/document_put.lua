-- Keep an entry of a document. ARGV: hash, owner, the place of this put, life (ms), visibility, and
-- what else its row says.
local sha, owner, place, life, visibility, said = unpack(ARGV)
local key, field = P .. ':d:' .. sha, 'o:' .. owner
local now = now_ms()
local created, first = whole(now), place
local old = redis.call('HGET', key, field)
if old then created, first = string.match(old, '^(%d+) %d+ %S+ (%S+) ') end
local ends = life ~= '0' and whole(now + tonumber(life)) or '0'
local row = created .. ' ' .. ends .. ' ' .. visibility .. ' ' .. first .. ' ' .. said
redis.call('HSETNX', key, 'place', place)
redis.call('HSET', key, field, row)

local member = string.format('%015.0f', tonumber(created)) .. ':' .. sha .. ':' .. owner
local to, from = ':docs:of:' .. owner, ':docs:everyone'
if visibility == 'everyone' then to, from = from, to end
redis.call('ZADD', P .. ':docs', 0, member)
redis.call('ZADD', P .. to, 0, member)
redis.call('ZREM', P .. from, member)
if ends ~= '0' then
  redis.call('ZADD', P .. ':docs:end', ends, sha .. ' ' .. owner)
else
  redis.call('ZREM', P .. ':docs:end', sha .. ' ' .. owner)
end
return { redis.call('HGET', key, 'place'), row }
