-- KEYS open window, its items, closing window, its items, due windows
-- ARGV window, member of the due windows, now, when to look again or '' → {rule, opened, closed, {items}} or nil
if redis.call('EXISTS', KEYS[3]) == 0 then
  if redis.call('HGET', KEYS[1], 'window') ~= ARGV[1] then
    redis.call('ZREM', KEYS[5], ARGV[2])
    return false
  end
  redis.call('RENAME', KEYS[1], KEYS[3])
  redis.call('RENAME', KEYS[2], KEYS[4])
  redis.call('HSET', KEYS[3], 'closed', ARGV[3])
end
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[5], ARGV[4], ARGV[2]) end
local window = redis.call('HMGET', KEYS[3], 'rule', 'opened', 'closed')
return {window[1], window[2], window[3], redis.call('LRANGE', KEYS[4], 0, -1)}
