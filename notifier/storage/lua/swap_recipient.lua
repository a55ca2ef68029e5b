-- KEYS hash, hash of what is kept beside it; ARGV field, expected value or '', new value, new value beside or ''
-- → '' swapped, or the value that is there instead ('-' for none)
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there ~= ARGV[2] and there ~= ARGV[3] then return there ~= '' and there or '-' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
end
return ''
