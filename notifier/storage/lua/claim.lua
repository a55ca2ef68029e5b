-- uses prelude and packs
-- KEYS state and words?, then for each: record, its buckets; ARGV state, buckets, words, now, lease end, owner, nonce, ms to keep, stamp,
-- then for each: dead owner or '', tries the message knows, head or '?', field → 'stale' or 'lost words', or for each:
-- 'lost' (it is not there: say the head and its buckets) | 'claimed FENCE TRIES UNCERTAIN KNOWN EARLIER' | 'done STATUS'
-- | 'busy MS OWNER' | 'not-yet MS'
local outdated = is_outdated()
if outdated then return outdated end
local now, lease, owner, nonce = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local function claimed(fields, rest)
  local left = fields[LEFT] == '1' and '1' or '0'
  local known = fields[BEFORE] ~= '' and '1' or '0'
  local earlier = 0
  -- A replay sets the tries to 0 and leaves the attempts: the last one says how far they are numbered.
  if string.find(rest, RS, 2, true) then
    earlier = tonumber(string.match(rest, '\30(%d+)\31[^\30]*$')) - tonumber(fields[TRIES])
  end
  return 'claimed ' .. fields[FENCE] .. ' ' .. fields[TRIES] .. ' ' .. left .. ' ' .. known .. ' ' .. earlier
end

local function claim(at, dead, tries, head, field)
  local text = redis.call('GET', KEYS[at])
  local fields, rest, before
  if text then
    fields, rest = parse(text)
    before = fields[STATUS]
  elseif head == '?' then
    return 'lost'
  elseif packed(at, field) then
    return 'done sent'
  else
    -- Redis lost it: the message itself knows how many tries were spent. No status before marks it as unknown.
    fields, rest, before = {'queued', '0', tries, '', '', '', '', '', '', '', '', ''}, RS .. head, ''
  end

  if fields[STATUS] == 'sending' then
    if fields[OWNER] == owner and fields[NONCE] == nonce then return claimed(fields, rest) end
    local left = tonumber(fields[UNTIL]) - tonumber(now)
    if left > 0 and fields[OWNER] ~= dead then return 'busy ' .. left .. ' ' .. fields[OWNER] end
    before = fields[BEFORE]
  elseif not may(fields[STATUS], 'sending') then
    return 'done ' .. fields[STATUS]
  elseif fields[NEXT] ~= '' then
    local wait = tonumber(fields[NEXT]) - tonumber(now)
    local stale = tonumber(tries) < tonumber(fields[TRIES])
    if wait > 0 and (stale or fields[STATUS] == 'held') then return 'not-yet ' .. wait end
  end

  fields[STATUS], fields[FENCE], fields[UPDATED] = 'sending', tostring(tonumber(fields[FENCE]) + 1), ARGV[9]
  fields[OWNER], fields[NONCE], fields[UNTIL], fields[BEFORE] = owner, nonce, lease, before
  redis.call('SET', KEYS[at], format(fields, rest), 'PX', ARGV[8])
  return claimed(fields, rest)
end

local answers, at = {}, FIRST
for i = 10, #ARGV, 4 do
  answers[#answers + 1] = claim(at, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  at = at + 1 + LEVELS
end
return answers
