-- KEYS endpoints, those of its tenant, version of what planning knows, versions by tenant, order of endpoints
-- ARGV id, expected record or '', new record or '', what planning knows, tenant, its two members of the order
-- → '' swapped (also when it was before), or the record that is there instead ('-' for none)
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[3] then return '' end
if there ~= ARGV[2] then return there ~= '' and there or '-' end
local planned = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if ARGV[3] == '' or planned ~= ARGV[4] then
  local before = redis.call('GET', KEYS[3]) or '0'
  if before ~= (redis.call('HGET', KEYS[4], 'last') or '0') then redis.call('HSET', KEYS[4], 'base', before) end
  local now = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[4], '=' .. ARGV[5], now, 'last', now)
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[6], ARGV[7])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
  redis.call('ZADD', KEYS[5], 0, ARGV[6], 0, ARGV[7])
end
return ''
