-- KEYS hash; ARGV field, expected value or '', new value or ''
-- → '' swapped (also when it was before), or the value that is there instead ('-' for none)
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[3] then return '' end
if there ~= ARGV[2] then return there ~= '' and there or '-' end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return ''
