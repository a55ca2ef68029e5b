-- KEYS endpoints, those of its tenant, version of what planning knows; ARGV id, expected record or '', new record or '', what planning knows
-- → '' swapped (also when it was before), or the record that is there instead ('-' for none)
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[3] then return '' end
if there ~= ARGV[2] then return there ~= '' and there or '-' end
local planned = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if ARGV[3] == '' or planned ~= ARGV[4] then redis.call('INCR', KEYS[3]) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
end
return ''
