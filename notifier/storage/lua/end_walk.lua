-- KEYS walker; ARGV token → 1 when the walk was ours and has ended
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
