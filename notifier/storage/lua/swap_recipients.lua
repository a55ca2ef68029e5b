-- KEYS hash, hash of what is kept beside it; ARGV fours: field, expected value or '', new value, new value beside or ''
-- → for each '' when it is swapped, or the value that is there instead ('-' for none)
local answers = {}
for i = 1, #ARGV, 4 do
  local field, there = ARGV[i], redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if there ~= ARGV[i + 1] and there ~= ARGV[i + 2] then
    answers[#answers + 1] = there ~= '' and there or '-'
  else
    redis.call('HSET', KEYS[1], field, ARGV[i + 2])
    if ARGV[i + 3] == '' then
      redis.call('HDEL', KEYS[2], field)
    else
      redis.call('HSET', KEYS[2], field, ARGV[i + 3])
    end
    answers[#answers + 1] = ''
  end
end
return answers
