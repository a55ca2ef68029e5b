-- KEYS bucket of people of a release before; ARGV a person's letters, as many that stand for nobody, places in bytes
-- → how many of them are blanked
local done = 0
for i = 3, #ARGV do
  local at = tonumber(ARGV[i])
  if redis.call('GETRANGE', KEYS[1], at, at + #ARGV[1] - 1) == ARGV[1] then
    redis.call('SETRANGE', KEYS[1], at, ARGV[2])
    done = done + 1
  end
end
return done
