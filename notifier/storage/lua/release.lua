-- uses prelude
-- KEYS record; ARGV fence, now, why it waits or '', until when or '' → 1 handed back (also when it was before), 0 not ours
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local fields, rest = parse(text)
if fields[FENCE] ~= ARGV[1] then return 0 end
if fields[STATUS] ~= 'sending' then return may(fields[STATUS], 'sending') and 1 or 0 end
-- The mark of leaving stays: whoever claims next must know that it may have been sent.
fields[STATUS] = fields[BEFORE] ~= '' and fields[BEFORE] or 'queued'
fields[UPDATED] = ARGV[2]
if ARGV[3] ~= '' then fields[REASON], fields[NEXT] = ARGV[3], ARGV[4] end
drop_lease(fields)
redis.call('SET', KEYS[1], format(fields, rest), 'KEEPTTL')
return 1
