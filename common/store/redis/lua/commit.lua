-- One transition: the version, every guard, then all of it. Mirrors common/store/interpret.py.
-- ARGV: request (JSON), channel prefix, event facts (JSON), then part names and bodies in turn.
local R = cjson.decode(ARGV[1])
local now = now_ms()
local head, flat = read_head(R.id)

-- Only where it says so: tools and callers choose their names, braces and all.
local function filled(index)
  return (string.gsub(index, '{([%w_]+)}', function(name) return head[name] or '' end))
end

local function done(version)
  local answer = { 1, version, now, {}, 0 }
  if R.counting ~= '' then answer[5] = redis.call('ZCARD', P .. ':i:' .. filled(R.counting)) end
  for _, name in ipairs(R.returning) do
    if name == 'head' then
      answer[4] = redis.call('HGETALL', P .. ':j:' .. R.id)
    else
      answer[#answer + 1] = redis.call('GET', P .. ':j:' .. R.id .. ':' .. name)
    end
  end
  return answer
end

local function refused(guard, job)
  return { 0, guard, now, flat, job or '' }
end

-- A reply was lost and the commit came again: it is done, whatever happened since.
if head and head.commits and string.find(',' .. head.commits .. ',', ',' .. R.commit .. ',', 1, true) then
  return done(number(head, 'version'))
end
if R.version == 0 then
  if head then return refused('version') end
  head = {}
elseif not head then
  return refused('missing')
elseif number(head, 'version') ~= R.version then
  return refused('version')
end
if number(head, 'format') > C.format then return refused('format') end

for _, guard in ipairs(R.guards) do
  local kind, name = guard[1], guard[2]
  local holds
  if kind == 'LeaseAlive' then
    holds = lease_alive(name, now, C.timings)
  elseif kind == 'LeaseGone' then
    holds = lease_gone(name, now, C.timings)
  elseif kind == 'TimeReached' then
    holds = now >= number(head, name)
  elseif kind == 'TimeBefore' then
    holds = number(head, name) == 0 or now < number(head, name)
  elseif kind == 'OneOf' then
    for _, word in ipairs(guard[3]) do holds = holds or head[name] == word end
  elseif kind == 'Room' or kind == 'Window' then
    local least = guard[4] == cjson.null and '-inf' or guard[4]
    holds = redis.call('ZCOUNT', P .. ':i:' .. name, least, '+inf') < guard[3]
  elseif kind == 'Unique' then
    local job = redis.call('GET', P .. ':u:' .. name)
    if job and job ~= R.id then return refused(kind, job) end
    holds = true
  elseif kind == 'Free' then
    local job = redis.call('GET', P .. ':u:' .. name)
    if job and job ~= R.id and job ~= guard[3] then return refused(kind, job) end
    holds = true
  elseif kind == 'Replays' then
    local letter = read_head(name) or {}
    local replay = letter.replayed_as or ''
    if replay ~= '' and replay ~= R.id then return refused(kind, replay) end
    holds = C.letters[letter.state or ''] and number(letter, 'format') <= C.format
  elseif kind == 'BatchRuns' then
    local batch = redis.call('HMGET', P .. ':j:' .. name, 'state', 'format')
    holds = batch[1] == 'running' and tonumber(batch[2] or '0') <= C.format
  end
  if not holds then return refused(kind) end
end

local function named(move)
  return P .. ':i:' .. (move[2] and filled(move[1]) or move[1])
end

local function move_all()
  for _, move in ipairs(R.moves) do
    if move[3] == 'out' then
      redis.call('ZREM', named(move), R.id)
    elseif move[3] == 'next' then
      local last = redis.call('ZREVRANGE', named(move), 0, 0, 'WITHSCORES')
      redis.call('ZADD', named(move), tonumber(last[2] or '0') + 1, R.id)
    else
      redis.call('ZADD', named(move), resolve(move[4], move[3], now), R.id)
    end
  end
end

-- An index is named by the head before the change, or by the fields that a new record begins with.
if R.version > 0 then move_all() end
local function take(key)
  redis.call('SET', P .. ':u:' .. key, R.id)
  redis.call('SADD', P .. ':j:' .. R.id .. ':u', key)
end

for _, guard in ipairs(R.guards) do
  if guard[1] == 'Unique' then take(guard[2]) end
end
for _, key in ipairs(R.takes) do take(key) end

local function append_event(id, version, name, facts)
  local events = P .. ':j:' .. id .. ':ev'
  local event = '[' .. whole(version) .. ',' .. whole(now) .. ',"' .. name .. '",' .. facts .. ']'
  local length = redis.call('RPUSH', events, event)
  if length > C.events_kept then redis.call('LTRIM', events, -C.events_kept, -1) end
end

for _, guard in ipairs(R.guards) do
  if guard[1] == 'Replays' then
    local key = P .. ':j:' .. guard[2]
    redis.call('HSET', key, 'replayed_as', R.id)
    redis.call('ZADD', P .. ':i:replayed', now, guard[2])
    local facts = cjson.encode({ replayed_as = R.id, by = guard[3] })
    append_event(guard[2], redis.call('HINCRBY', key, 'version', 1), 'replayed', facts)
  end
end

local owner = head.owner or ''
local commits = split(head.commits)
commits[#commits + 1] = R.commit
while #commits > C.commits_kept do table.remove(commits, 1) end
local write = { 'id', R.id, 'version', R.version + 1, 'commits', table.concat(commits, ',') }
for _, field in ipairs(R.fields) do
  local value = resolve(field[3], field[2], now, head[field[1]])
  head[field[1]] = type(value) == 'number' and whole(value) or value
  write[#write + 1] = field[1]
  write[#write + 1] = head[field[1]]
end
redis.call('HSET', P .. ':j:' .. R.id, unpack(write))

if R.version == 0 then move_all() end

-- The indexes of held jobs that have any are listed in one of their own.
for _, move in ipairs(R.moves) do
  if string.sub(move[1], 1, 5) == 'held:' then
    if redis.call('EXISTS', named(move)) == 1 then
      redis.call('ZADD', P .. ':i:held', 'NX', now, move[1])
    else
      redis.call('ZREM', P .. ':i:held', move[1])
    end
  end
end

local due = R.after ~= cjson.null and now + R.after or nil
for _, name in ipairs(R.due_fields) do
  local at = number(head, name)
  if at > 0 and (not due or at < due) then due = at end
end
-- Every record stands in the due index, come what may.
redis.call('ZADD', P .. ':i:due', due or now, R.id)

append_event(R.id, R.version + 1, R.name, ARGV[3])

local result
for i = 4, #ARGV, 2 do
  redis.call('SET', P .. ':j:' .. R.id .. ':' .. ARGV[i], ARGV[i + 1])
  if ARGV[i] == 'result' and #ARGV[i + 1] <= C.inline then result = ARGV[i + 1] end
end

local state = head.state
local watchers = split(head.watchers)
if #watchers > 0 or (R.wake_owner and owner ~= '') then
  local terminal = C.terminal[state]
  local hint = cjson.encode({ 'state', R.id, state, R.version + 1, R.name })
  local whole_hint = hint
  if result and (state == 'completed' or state == 'failed') then whole_hint = hint .. '\n' .. result end
  for _, watcher in ipairs(watchers) do
    local name = string.gsub(watcher, '!$', '')
    local said = C.wakes[name] and hint or whole_hint
    if terminal or name == watcher then redis.call('PUBLISH', ARGV[2] .. 'in:' .. name, said) end
  end
  if R.wake_owner and owner ~= '' then redis.call('PUBLISH', ARGV[2] .. 'w:' .. owner, whole_hint) end
end
return done(R.version + 1)
