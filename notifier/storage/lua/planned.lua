-- uses packs
-- KEYS state and words?, then for each event: it, its buckets; ARGV state, buckets, words, then for each: field → 'stale' or 'lost words', or 1 for each
-- The first byte of its record says whether every task of it was confirmed; in a bucket three of its words come before.
local outdated = is_outdated()
if outdated then return outdated end
local answers, at = {}, FIRST
for i = 4, #ARGV do
  if redis.call('EXISTS', KEYS[at]) == 1 then
    redis.call('SETRANGE', KEYS[at], 0, '1')
  else
    local value, place = packed(at, ARGV[i])
    if value then
      local state = #value - #bare(value) + 8
      redis.call('HSET', KEYS[place], ARGV[i], string.sub(value, 1, state - 1) .. '1' .. string.sub(value, state + 1))
    end
  end
  answers[#answers + 1] = 1
  at = at + 1 + LEVELS
end
return answers
