-- One transition: the version, every guard, then all of it. Mirrors common/store/interpret.py.
-- A line that begins with `--@` is replaced by what common/store/redis/compiled.py makes of the shape
-- of a change; ARGV has what every change has, then the values of this one in the order of its shape.
local id, asked, commit, channels, facts, after = unpack(ARGV, 1, 6)
local key = P .. ':j:' .. id
local now = now_ms()
local now_text = whole(now) -- a number would be printed anew, with its fractions, by each command
--@ head

local function refused(guard, job)
  return { 0, guard, now, call('HGETALL', key), job or '' }
end

local function done(version)
  --@ answer
end

-- A reply was lost and the commit came again: it is done, whatever happened since.
if head.commits and string.find(',' .. head.commits .. ',', ',' .. commit .. ',', 1, true) then
  return done(number(head.version))
end
--@ version

local function has_room(index, limit, least)
  return call('ZCOUNT', P .. ':i:' .. index, least, '+inf') < tonumber(limit)
end

-- The job that has a unique key, if it is another one.
local function holder(unique, besides)
  local job = call('GET', P .. ':u:' .. unique)
  return job and job ~= id and job ~= besides and job
end

-- Whether the letter may be replayed as this job; if not, the replay that it has.
local function may_replay(letter)
  letter = read_head(letter) or {}
  local replay = letter.replayed_as or ''
  if replay ~= '' and replay ~= id then return false, replay end
  return C.letters[letter.state or ''] and number(letter.format) <= C.format
end

local function batch_runs(batch)
  batch = call('HMGET', P .. ':j:' .. batch, 'state', 'format')
  return batch[1] == 'running' and number(batch[2]) <= C.format
end
--@ guards

local function take(unique)
  call('SET', P .. ':u:' .. unique, id)
  call('SADD', key .. ':u', unique)
end

local function put_last(index)
  local last = call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  call('ZADD', index, tonumber(last[2] or '0') + 1, id)
end

-- The indexes of held jobs that have any are listed in one of their own.
local function list_held(index)
  if call('EXISTS', P .. ':i:' .. index) == 1 then
    call('ZADD', P .. ':i:held', 'NX', now_text, index)
  else
    call('ZREM', P .. ':i:held', index)
  end
end

local function append_event(job, version, name, facts)
  local events = P .. ':j:' .. job .. ':ev'
  local event = '[' .. version .. ',' .. now_text .. ',"' .. name .. '",' .. facts .. ']'
  local length = call('RPUSH', events, event)
  if length > C.events_kept then call('LTRIM', events, -C.events_kept, -1) end
end

local function replay(letter, by)
  call('HSET', P .. ':j:' .. letter, 'replayed_as', id)
  call('ZADD', P .. ':i:replayed', now_text, letter)
  local version = whole(call('HINCRBY', P .. ':j:' .. letter, 'version', 1))
  append_event(letter, version, 'replayed', cjson.encode({ replayed_as = id, by = by }))
end

local version = whole(asked + 1)
local commits = split(head.commits)
commits[#commits + 1] = commit
while #commits > C.commits_kept do table.remove(commits, 1) end
commits = table.concat(commits, ',')
--@ writes

local due = after ~= '' and now + after or nil
local function by(clock)
  clock = number(clock)
  if clock > 0 and (not due or clock < due) then due = clock end
end
--@ clocks
-- Every record stands in the due index, come what may.
due = due and whole(due) or now_text
--@ due

local function tell(name, state, watchers, owner, result)
  watchers = split(watchers)
  if #watchers == 0 and not owner then return end
  local terminal = C.terminal[state]
  local hint = '["state","' .. id .. '","' .. state .. '",' .. version .. ',"' .. name .. '"]'
  local whole_hint = hint
  if result and #result <= C.inline and (state == 'completed' or state == 'failed') then
    whole_hint = hint .. '\n' .. result
  end
  for _, watcher in ipairs(watchers) do
    local ingress = string.gsub(watcher, '!$', '')
    local said = C.wakes[ingress] and hint or whole_hint
    if terminal or ingress == watcher then call('PUBLISH', channels .. 'in:' .. ingress, said) end
  end
  if owner and owner ~= '' then call('PUBLISH', channels .. 'w:' .. owner, whole_hint) end
end
--@ end
return done(tonumber(version))
