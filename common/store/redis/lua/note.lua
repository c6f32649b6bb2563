-- Writes what decides nothing; the version stays. ARGV: request (JSON), channel
-- prefix, hints to relay, entries of output, a checkpoint.
local R = cjson.decode(ARGV[1])
local now = now_ms()
local head = read_head(R.id)
if not head or number(head.format) > C.format then return 0 end
if R.claim ~= cjson.null then
  local runs = head.state == 'running' or head.state == 'input_required'
  if not runs or number(head.claims) ~= R.claim then return 0 end
end
local write = {}
for _, field in ipairs(R.fields) do
  local value = resolve(field[3], field[2], now, head[field[1]])
  write[#write + 1] = field[1]
  write[#write + 1] = type(value) == 'number' and whole(value) or value
end
local watchers = split(head.watchers)
if R.watch ~= cjson.null or R.unwatch ~= cjson.null then
  local changed = R.watch ~= cjson.null and R.watch or R.unwatch
  local bare = string.gsub(changed, '!$', '')
  local kept, plain = {}, false
  for _, watcher in ipairs(watchers) do
    if watcher == bare then plain = true end
    if watcher ~= bare and watcher ~= bare .. '!' then kept[#kept + 1] = watcher end
  end
  if R.watch ~= cjson.null then kept[#kept + 1] = plain and bare or R.watch end
  watchers = kept
  write[#write + 1] = 'watchers'
  write[#write + 1] = table.concat(kept, ',')
end
if #write > 0 then redis.call('HSET', P .. ':j:' .. R.id, unpack(write)) end
local said_to = #ARGV
if R.checkpoint then
  redis.call('SET', P .. ':j:' .. R.id .. ':checkpoint', ARGV[said_to])
  said_to = said_to - 1
end
local out = P .. ':j:' .. R.id .. ':out'
-- A reply was lost and the note came again: what it appends stands.
if R.mark ~= '' and redis.call('HGET', out .. ':sums', 'mark') ~= R.mark then
  local last = tonumber(redis.call('HGET', out .. ':sums', 'last') or '0') + R.skipped
  local bytes = tonumber(redis.call('HGET', out .. ':sums', 'bytes') or '0')
  if R.skipped > 0 then
    redis.call('DEL', out)
    bytes = 0
  end
  local length = redis.call('LLEN', out)
  local said = ',' .. whole(now) .. ',' .. whole(number(head.tries)) .. ','
  for i = 3 + R.hints, said_to do
    last = last + 1
    local row = '[' .. whole(last) .. said .. ARGV[i] .. ']'
    length = redis.call('RPUSH', out, row)
    bytes = bytes + #row
  end
  while length > 0 and (length > C.output_entries or bytes > C.output_bytes) do
    bytes = bytes - #redis.call('LPOP', out)
    length = length - 1
  end
  redis.call('HSET', out .. ':sums', 'last', whole(last), 'bytes', whole(bytes), 'mark', R.mark)
end
for _, watcher in ipairs(watchers) do
  if string.sub(watcher, -1) ~= '!' then
    for i = 3, 2 + R.hints do redis.call('PUBLISH', ARGV[2] .. 'in:' .. watcher, ARGV[i]) end
  end
end
return 1
