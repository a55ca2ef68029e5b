-- KEYS entries, index of the new entry, index of the expected one; ARGV id, expected or '', new or '', when it was parked
-- → '' swapped (also when it was before), or the entry that is there instead ('-' for none)
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[3] then return '' end
if there ~= ARGV[2] then return there ~= '' and there or '-' end
if there ~= '' then redis.call('ZREM', KEYS[3], ARGV[1]) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
return ''
