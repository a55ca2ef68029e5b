-- uses packs
-- KEYS state and words?, then for each delivery: its record, its buckets; ARGV state, buckets, words, now, ms to keep, then for each:
-- head, field → 'stale' or 'lost words', or for each the status it had, or '' when it is new
local outdated = is_outdated()
if outdated then return outdated end
local answers, at = {}, FIRST
for i = 6, #ARGV, 2 do
  local text = redis.call('GET', KEYS[at])
  if text then
    answers[#answers + 1] = string.match(text, '^[a-z]+')
  elseif packed(at, ARGV[i + 1]) then
    answers[#answers + 1] = 'sent'
  else
    redis.call('SET', KEYS[at], 'queued\0310\0310\031' .. ARGV[4] .. '\030' .. ARGV[i], 'PX', ARGV[5])
    answers[#answers + 1] = ''
  end
  at = at + 1 + LEVELS
end
return answers
