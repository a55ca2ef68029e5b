-- uses prelude
-- KEYS record; ARGV fence → 1 marked as leaving, 0 the claim was lost
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local fields, rest = parse(text)
if fields[STATUS] ~= 'sending' or fields[FENCE] ~= ARGV[1] then return 0 end
fields[LEFT] = '1'
redis.call('SET', KEYS[1], format(fields, rest), 'KEEPTTL')
return 1
