-- KEYS held deliveries of an endpoint, endpoints to look at, what people chose; ARGV endpoint, members…
-- → how many are left; without any, the endpoint is not looked at again
for start = 2, #ARGV, 1000 do
  redis.call('ZREM', KEYS[1], unpack(ARGV, start, math.min(start + 999, #ARGV)))
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return left
