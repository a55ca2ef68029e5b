-- KEYS one log of admitted deliveries per group
-- ARGV six per question: place of its log, member, ms when it was planned, window in ms, at most, ms to keep
-- → 1 admitted (also when it was before) or 0, for each question in order
-- Times are those of planning, so the answer to a question is the same however often and late it is asked.
local answers = {}
for i = 1, #ARGV, 6 do
  local log, member, planned = tonumber(ARGV[i]), ARGV[i + 1], tonumber(ARGV[i + 2])
  local window, keep = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 5])
  local admitted = 1
  if not redis.call('ZSCORE', KEYS[log], member) then
    -- Both sides: planned times arrive out of order, and no window around any of them may hold more.
    local near = redis.call('ZCOUNT', KEYS[log], '(' .. (planned - window), '(' .. (planned + window))
    if near < tonumber(ARGV[i + 4]) then
      redis.call('ZADD', KEYS[log], planned, member)
      redis.call('ZREMRANGEBYSCORE', KEYS[log], '-inf', '(' .. (planned - keep))
      redis.call('PEXPIRE', KEYS[log], keep)
    else
      admitted = 0
    end
  end
  answers[#answers + 1] = admitted
end
return answers
