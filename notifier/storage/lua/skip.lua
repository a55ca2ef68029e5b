-- uses prelude
-- KEYS record; ARGV stamp, reason, ms to keep → its status now: skipped when it was held, otherwise what it was
local text = redis.call('GET', KEYS[1])
if not text then return 'skipped' end
local fields, rest = parse(text)
if fields[STATUS] ~= 'held' then return fields[STATUS] end
fields[STATUS], fields[UPDATED], fields[NEXT], fields[REASON] = 'skipped', ARGV[1], '', ARGV[2]
redis.call('SET', KEYS[1], format(fields, rest), 'PX', ARGV[3])
return 'skipped'
