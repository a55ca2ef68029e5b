-- KEYS open window, its items, closing window, its items, due windows; ARGV window, member of the due windows
-- → the items that were in it, which are gone now
local items = {}
if redis.call('HGET', KEYS[1], 'window') == ARGV[1] then
  items = redis.call('LRANGE', KEYS[2], 0, -1)
  redis.call('DEL', KEYS[1], KEYS[2])
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  for _, item in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do items[#items + 1] = item end
  redis.call('DEL', KEYS[3], KEYS[4])
end
redis.call('ZREM', KEYS[5], ARGV[2])
return items
