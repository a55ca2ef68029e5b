-- KEYS bucket of people; ARGV ms to keep, bytes kept, entries: each a person's part and a delivery's id and a comma
local length = redis.call('STRLEN', KEYS[1])
if length < 8192 then
  -- Written anew it has the size it needs; appended to it has up to twice that.
  redis.call('SET', KEYS[1], (redis.call('GET', KEYS[1]) or '') .. ARGV[3], 'PX', ARGV[1])
  return 1
end
length = redis.call('APPEND', KEYS[1], ARGV[3])
local kept = tonumber(ARGV[2])
-- Twice as much before it is cut, so that cutting costs next to nothing each.
if length > 2 * kept then
  local text = redis.call('GETRANGE', KEYS[1], -kept, -1)
  redis.call('SET', KEYS[1], string.sub(text, string.find(text, ',', 1, true) + 1))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
