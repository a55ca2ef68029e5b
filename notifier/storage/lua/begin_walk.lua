-- KEYS walker; ARGV token, ms → 1 the walk is ours (also when it was before), 0 somebody else's
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
