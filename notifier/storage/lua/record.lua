-- uses prelude
-- KEYS record; ARGV status, fence, now, next try, template, reason, attempt, head, ms to keep, attempts kept
--      head: '?' when it can be asked for, '' when nobody knows it
-- → -1 it is not there: say the head; 1 recorded (also when it was before), 0 stale fence or a move the table does not allow
local status, fence, attempt = ARGV[1], ARGV[2], ARGV[7]
local text = redis.call('GET', KEYS[1])
local fields, rest
if text then
  fields, rest = parse(text)
elseif ARGV[8] == '?' then
  return -1
elseif status == 'sent' or ARGV[8] ~= '' then
  -- Redis lost it while it was being sent, and we were its owner.
  local spent = attempt == '' and 0 or tonumber(string.match(attempt, '^%d+')) - 1
  fields, rest = {'sending', fence, tostring(spent), '', '', '', '', '', '', '', '', ''}, RS .. ARGV[8]
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
  if parts - 1 > tonumber(ARGV[10]) then
    local oldest = string.find(rest, RS, 2, true)
    local second = string.find(rest, RS, oldest + 1, true)
    rest = string.sub(rest, 1, oldest - 1) .. string.sub(rest, second)
  end
end
fields[STATUS], fields[UPDATED], fields[NEXT], fields[REASON], fields[LEFT] = status, ARGV[3], ARGV[4], ARGV[6], ''
if ARGV[5] ~= '' then fields[TEMPLATE] = ARGV[5] end
drop_lease(fields)
redis.call('SET', KEYS[1], format(fields, rest), 'PX', ARGV[9])
return 1
