-- KEYS bucket of the index of addresses; ARGV entry, the version it is expected to have → 1 when it was taken out
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
