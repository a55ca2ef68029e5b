-- KEYS record → 1 when it was queued, never claimed, and is gone now
local text = redis.call('GET', KEYS[1])
if text and string.find(text, 'queued\0310\031', 1, true) == 1 then return redis.call('DEL', KEYS[1]) end
return 0
