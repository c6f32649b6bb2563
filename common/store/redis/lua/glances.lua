-- Some fields of many heads. ARGV: how many fields, their names, then ids. Answers one row for each
-- id, empty where there is no record.
local names = {}
for i = 2, 1 + tonumber(ARGV[1]) do names[#names + 1] = ARGV[i] end
local rows = {}
for i = 2 + #names, #ARGV do
  local key = P .. ':j:' .. ARGV[i]
  rows[#rows + 1] = redis.call('EXISTS', key) == 1 and redis.call('HMGET', key, unpack(names)) or {}
end
return rows
