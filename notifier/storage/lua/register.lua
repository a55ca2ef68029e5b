-- KEYS record; ARGV now, head, ms to keep → the status it had, or '' when it is new
local text = redis.call('GET', KEYS[1])
if text then return string.match(text, '^[a-z]+') end
redis.call('SET', KEYS[1], 'queued\0310\0310\031' .. ARGV[1] .. '\030' .. ARGV[2], 'PX', ARGV[3])
return ''
