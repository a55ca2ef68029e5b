-- KEYS run; ARGV token, ms → 0 the run is ours (also when it was before), else ms until the next one is due
local there = redis.call('GET', KEYS[1])
if there == ARGV[1] then return 0 end
local left = there and redis.call('PTTL', KEYS[1]) or 0
if left > 0 then return left end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
