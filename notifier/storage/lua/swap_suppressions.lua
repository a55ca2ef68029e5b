-- KEYS suppressions, where people moved, order of the first; ARGV quadruples: 1 or 2 for which of them, field, expected or '', new or ''
-- → nothing when all are swapped (also when they were before), or what is there instead, in order; all or none change
local there, same, done = {}, true, true
for i = 1, #ARGV, 4 do
  local value = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1]) or ''
  there[#there + 1] = value
  same, done = same and value == ARGV[i + 2], done and value == ARGV[i + 3]
end
if done then return {} end
if not same then return there end
for i = 1, #ARGV, 4 do
  if ARGV[i + 3] == '' then
    redis.call('HDEL', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
    if ARGV[i] == '1' then redis.call('ZREM', KEYS[3], ARGV[i + 1]) end
  else
    redis.call('HSET', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 3])
    if ARGV[i] == '1' then redis.call('ZADD', KEYS[3], 0, ARGV[i + 1]) end
  end
end
return {}
