-- Deletes a record and all that belongs to it. ARGV: id, version, then the indexes it stands in.
local id = ARGV[1]
local head = read_head(id)
if not head or number(head.version) ~= tonumber(ARGV[2]) then return 0 end
local base = P .. ':j:' .. id
for _, key in ipairs(redis.call('SMEMBERS', base .. ':u')) do
  if redis.call('GET', P .. ':u:' .. key) == id then redis.call('DEL', P .. ':u:' .. key) end
end
for i = 3, #ARGV do
  if redis.call('ZREM', P .. ':i:' .. ARGV[i], id) == 1 then unlist_held(ARGV[i]) end
end
redis.call('DEL', base, base .. ':u', base .. ':ev', base .. ':call', base .. ':result',
  base .. ':raw', base .. ':questions', base .. ':checkpoint', base .. ':files', base .. ':out', base .. ':out:sums')
return 1
