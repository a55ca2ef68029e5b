-- KEYS due windows; ARGV now, how many, when whoever takes them should have confirmed them, which nobody else says
-- → those that are taken, the longest due first; again, when the reply was lost
local due = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[3])
if #due > 0 then return due end
due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[3], member) end
return due
