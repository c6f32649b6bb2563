-- What every script shares. KEYS[1] is the shard's prefix; scripts touch keys of its hash tag only.
local P = KEYS[1]
local call = redis.call

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function whole(n)
  return string.format('%.0f', n)
end

local function read_head(id)
  local flat = call('HGETALL', P .. ':j:' .. id)
  if #flat == 0 then return nil, flat end
  local head = {}
  for i = 1, #flat, 2 do head[flat[i]] = flat[i + 1] end
  return head, flat
end

local function number(text)
  return tonumber(text or '0') or 0
end

-- T: {lease, silence, grace} in ms. A released lease is gone at once; a lapsed one only when no
-- grace is open. Silence from everybody means that the store was away: whoever notices opens it.
local function notice_silence(now, T)
  local newest = call('ZREVRANGE', P .. ':leases', 0, 0, 'WITHSCORES')
  if newest[2] and now - tonumber(newest[2]) > T.silence then
    call('SET', P .. ':grace', whole(now + T.grace), 'PX', T.grace)
  end
end

local function lease_alive(lease, now, T)
  local beat = call('ZSCORE', P .. ':leases', lease)
  return beat and now - tonumber(beat) < T.lease
end

local function lease_gone(lease, now, T)
  if lease == '' then return false end
  local beat = call('ZSCORE', P .. ':leases', lease)
  if not beat then return true end
  if now - tonumber(beat) < T.lease then return false end
  notice_silence(now, T)
  return call('EXISTS', P .. ':grace') == 0
end

local function split(text)
  local parts = {}
  for part in string.gmatch(text or '', '[^,]+') do parts[#parts + 1] = part end
  return parts
end

local function resolve(value, op, now, old)
  if op == '+' then return (tonumber(old or '0') or 0) + value end
  if op == 'now' then return now + value end
  if op == 'max' then return math.max(tonumber(old or '0') or 0, value) end
  return value
end

-- The indexes of held jobs are listed in one of their own while they have any.
local function unlist_held(index)
  if string.sub(index, 1, 5) == 'held:' and call('EXISTS', P .. ':i:' .. index) == 0 then
    call('ZREM', P .. ':i:held', index)
  end
end
