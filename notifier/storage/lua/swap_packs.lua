-- KEYS state of the buckets; ARGV what it is expected to be or '', what it is to be → what it is now
local text = redis.call('GET', KEYS[1]) or ''
if text ~= ARGV[1] then return text end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
