-- KEYS hash, order of its names; ARGV pairs: name, member → nothing. What the hash has is in the order, what it has not is not.
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], 0, ARGV[i + 1])
  else
    redis.call('ZREM', KEYS[2], ARGV[i + 1])
  end
end
return 1
