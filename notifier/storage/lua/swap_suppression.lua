-- KEYS suppressions, their order; ARGV field, expected or '', new or ''
-- → nothing when it is swapped (also when it was before), or what is there instead, in a list
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[3] then return {} end
if there ~= ARGV[2] then return {there} end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
end
return {}
