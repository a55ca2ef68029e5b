-- KEYS the hash of adapted scopes, the version of all limits
-- ARGV scope, multiplier, least factor, rate to assume where none is configured (0: none), ms between changes, now in ms
-- → {factor in force, 1 when this call changed it}
-- An entry is 'factor learned-rate changed-at'; a factor of 1 needs none.
local factor, learned, changed = 1, ARGV[4], 0
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text then
  local before, rate, at = string.match(text, '^(%S+) (%S+) (%S+)$')
  factor, changed = tonumber(before), tonumber(at)
  if rate ~= '0' then learned = rate end
end
-- Fifty mails of one batch that are all put off say it once. A clock that was set back stops nothing.
local since = tonumber(ARGV[6]) - changed
if text and since >= 0 and since < tonumber(ARGV[5]) then return {tostring(factor), 0} end
local wanted = math.max(tonumber(ARGV[3]), math.min(1, factor * tonumber(ARGV[2])))
if wanted == factor then return {tostring(factor), 0} end
if wanted == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.6f %s %s', wanted, learned, ARGV[6]))
end
if not text or wanted == 1 then redis.call('INCR', KEYS[2]) end
return {tostring(wanted), 1}
