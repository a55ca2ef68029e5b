-- uses prelude
-- KEYS record; ARGV now, lease end, owner, nonce, dead owner or '', tries the message knows, head or '?', ms to keep, stamp
-- → 'lost' (it is not there: say the head) | 'claimed FENCE TRIES UNCERTAIN KNOWN EARLIER' | 'done STATUS' | 'busy MS OWNER' | 'not-yet MS'
local now, lease, owner, nonce, dead = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local text = redis.call('GET', KEYS[1])
local fields, rest, before
if text then
  fields, rest = parse(text)
  before = fields[STATUS]
elseif ARGV[7] == '?' then
  return 'lost'
else
  -- Redis lost it: the message itself knows how many tries were spent. No status before marks it as unknown.
  fields, rest, before = {'queued', '0', ARGV[6], '', '', '', '', '', '', '', '', ''}, RS .. ARGV[7], ''
end

local function claimed()
  local left = fields[LEFT] == '1' and '1' or '0'
  local known = fields[BEFORE] ~= '' and '1' or '0'
  local earlier = 0
  -- A replay sets the tries to 0 and leaves the attempts: the last one says how far they are numbered.
  if string.find(rest, RS, 2, true) then
    earlier = tonumber(string.match(rest, '\30(%d+)\31[^\30]*$')) - tonumber(fields[TRIES])
  end
  return 'claimed ' .. fields[FENCE] .. ' ' .. fields[TRIES] .. ' ' .. left .. ' ' .. known .. ' ' .. earlier
end

if fields[STATUS] == 'sending' then
  if fields[OWNER] == owner and fields[NONCE] == nonce then return claimed() end
  local left = tonumber(fields[UNTIL]) - tonumber(now)
  if left > 0 and fields[OWNER] ~= dead then return 'busy ' .. left .. ' ' .. fields[OWNER] end
  before = fields[BEFORE]
elseif not may(fields[STATUS], 'sending') then
  return 'done ' .. fields[STATUS]
elseif fields[NEXT] ~= '' then
  local wait = tonumber(fields[NEXT]) - tonumber(now)
  local stale = tonumber(ARGV[6]) < tonumber(fields[TRIES])
  if wait > 0 and (stale or fields[STATUS] == 'held') then return 'not-yet ' .. wait end
end

fields[STATUS], fields[FENCE], fields[UPDATED] = 'sending', tostring(tonumber(fields[FENCE]) + 1), ARGV[9]
fields[OWNER], fields[NONCE], fields[UNTIL], fields[BEFORE] = owner, nonce, lease, before
redis.call('SET', KEYS[1], format(fields, rest), 'PX', ARGV[8])
return claimed()
