-- uses prelude
-- KEYS record; ARGV stamp → the status it had, or '' unknown. Its destination, its reason and what others replied are
-- gone; what was on its way ends as skipped, so that the message that still carries the address is dropped when it comes
local text = redis.call('GET', KEYS[1])
if not text then return '' end
local fields, rest = parse(text)
local parts = {}
for part in string.gmatch(string.sub(rest, 2) .. RS, '([^\30]*)\30') do parts[#parts + 1] = part end
parts[1] = string.gsub(parts[1], '^([^\31]*\31[^\31]*\31[^\31]*\31)[^\31]*', '%1forgotten')
for i = 2, #parts do
  -- The first six fields of an attempt; the seventh is the reply, which often quotes the address.
  parts[i] = string.match(parts[i], '^[^\31]*\31[^\31]*\31[^\31]*\31[^\31]*\31[^\31]*\31[^\31]*') or parts[i]
end
local before = fields[STATUS]
if fields[REASON] ~= '' then fields[REASON] = 'forgotten' end
if before == 'queued' or before == 'deferred' or before == 'held' then
  fields[STATUS], fields[REASON], fields[NEXT], fields[UPDATED] = 'skipped', 'forgotten', '', ARGV[1]
end
redis.call('SET', KEYS[1], format(fields, RS .. table.concat(parts, RS)), 'KEEPTTL')
return before
