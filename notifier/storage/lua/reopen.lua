-- uses prelude
-- KEYS record; ARGV now, ms to keep → 1 publish it, 0 it has ended for good
local text = redis.call('GET', KEYS[1])
if not text then return 1 end
local fields, rest = parse(text)
if may(fields[STATUS], 'sending') then return 1 end
if not may(fields[STATUS], 'queued') then return 0 end
fields[STATUS], fields[TRIES], fields[UPDATED] = 'queued', '0', ARGV[1]
fields[NEXT], fields[REASON], fields[LEFT] = '', '', ''
redis.call('SET', KEYS[1], format(fields, rest), 'PX', ARGV[2])
return 1
