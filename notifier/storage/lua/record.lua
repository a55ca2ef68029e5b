-- uses prelude and packs
-- KEYS state and words?, then for each: record, its buckets; ARGV state, buckets, words, stamp, attempts kept, then for each: status,
-- fence, next try, template, reason, attempt, head, ms to keep, field, hint for a bucket or ''
--      head: '?' when it can be asked for, '' when nobody knows it
-- → 'stale' or 'lost words', or for each: -1 it is not there: say the head; 1 recorded (also when it was before), 0 stale fence or a move
-- the table does not allow; 'unpack' when what is in a bucket was sent again, or recorded again because nobody heard
local outdated = is_outdated()
if outdated then return outdated end
-- Characters of a time in full.
local TIME = 8

-- A time without what it begins with like the one before it: how long it is says how much that was.
local function shortened(time, before)
  local alike = 0
  while alike < TIME and string.byte(time, alike + 1) == string.byte(before, alike + 1) do alike = alike + 1 end
  return string.sub(time, alike + 1)
end

-- What a bucket keeps instead of a record (packed.py), if the record is ours, on its first try, and nobody has asked to be
-- forgotten. `hint` is generation and words, 9 characters, and how many bytes of the reply one of them stands for.
local function body_of(text, fence, attempt, hint)
  local state = 'sending\31' .. fence .. '\0310\31'
  if string.sub(text, 1, #state) ~= state then return nil end
  local event, destination, queued = string.match(text, '^[^\30]*\30([^\30\31]*)\31[^\30\31]*\31[^\30\31]*\31([^\30\31]*)\31([^\30\31]*)$')
  local started, duration, reply = string.match(attempt, '^1\31([^\31]*)\31([^\31]*)\31[^\31]*\31[^\31]*\31?[^\31]*\31?(.*)$')
  if not queued or not started or destination == 'forgotten' then return nil end
  if #queued ~= TIME or #started ~= TIME or #ARGV[4] ~= TIME then return nil end
  if string.sub(hint, 8, 9) ~= '--' then destination = string.match(destination, '^([^\128-\191][\128-\191]*)…') end
  if not destination then return nil end
  local body = table.concat({
    string.sub(hint, 1, 9) .. queued .. event, shortened(started, queued), duration, shortened(ARGV[4], started),
    string.sub(reply, tonumber(string.sub(hint, 10)) + 1), destination
  }, US)
  return #body <= LONGEST and body or nil
end

local function record(at, status, fence, following, template, reason, attempt, head, keep, field, hint)
  local text = redis.call('GET', KEYS[at])
  local fields, rest
  if not text then
    if packed(at, field) then return status == 'sent' and 'unpack' or 0 end
  elseif hint ~= '' then
    local body = body_of(text, fence, attempt, hint)
    if body then
      put(at, field, body, keep)
      redis.call('DEL', KEYS[at])
      return 1
    end
  end
  if text then
    fields, rest = parse(text)
  elseif head == '?' then
    return -1
  elseif status == 'sent' or head ~= '' then
    -- Redis lost it while it was being sent, and we were its owner.
    local spent = attempt == '' and 0 or tonumber(string.match(attempt, '^%d+')) - 1
    fields, rest = {'sending', fence, tostring(spent), '', '', '', '', '', '', '', '', ''}, RS .. head
  else
    return 0
  end

  local written = attempt == '' or string.find(rest .. RS, RS .. attempt .. RS, 1, true) ~= nil
  local repeated = fields[STATUS] == status and fields[OWNER] == '' and written and text
  if status == 'sent' then
    -- The truth, whatever the fence and the status.
    if repeated then return 1 end
  else
    if fields[FENCE] ~= fence then return 0 end
    if repeated then return 1 end
    if not may(fields[STATUS], status) then return 0 end
  end

  if not written then
    rest = rest .. RS .. attempt
    fields[TRIES] = tostring(tonumber(fields[TRIES]) + 1)
    local _, parts = string.gsub(rest, RS, RS)
    if parts - 1 > tonumber(ARGV[5]) then
      local oldest = string.find(rest, RS, 2, true)
      local second = string.find(rest, RS, oldest + 1, true)
      rest = string.sub(rest, 1, oldest - 1) .. string.sub(rest, second)
    end
  end
  fields[STATUS], fields[UPDATED], fields[NEXT], fields[REASON], fields[LEFT] = status, ARGV[4], following, reason, ''
  if template ~= '' then fields[TEMPLATE] = template end
  drop_lease(fields)
  redis.call('SET', KEYS[at], format(fields, rest), 'PX', keep)
  return 1
end

local answers, at = {}, FIRST
for i = 6, #ARGV, 10 do
  answers[#answers + 1] = record(at, unpack(ARGV, i, i + 9))
  at = at + 1 + LEVELS
end
return answers
