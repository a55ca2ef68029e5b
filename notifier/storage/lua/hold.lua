-- uses prelude
-- KEYS record; ARGV stamp, reason, head or '?', ms to keep, tries the message knows
-- → 'lost' (it is not there: say the head), or its status now: held, sending or an end
local text = redis.call('GET', KEYS[1])
local fields, rest
if text then
  fields, rest = parse(text)
elseif ARGV[3] == '?' then
  return 'lost'
else
  fields, rest = {'queued', '0', ARGV[5], '', '', '', '', '', '', '', '', ''}, RS .. ARGV[3]
end
if fields[STATUS] ~= 'held' then
  -- Whoever sends it will say what became of it; a claim that its worker left behind ends when it comes back.
  if fields[STATUS] == 'sending' or not may(fields[STATUS], 'held') then return fields[STATUS] end
end
fields[STATUS], fields[UPDATED], fields[NEXT], fields[REASON] = 'held', ARGV[1], '', ARGV[2]
redis.call('SET', KEYS[1], format(fields, rest), 'PX', ARGV[4])
return 'held'
