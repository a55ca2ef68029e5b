-- KEYS a person's deliveries, oldest first, each id followed by a comma; ARGV ms to keep, bytes kept, ids
-- A string costs 27 bytes an entry where a sorted set costs 39, and 110 beyond 128 entries.
local there = redis.call('GET', KEYS[1]) or ''
local searched, added = ',' .. there, ''
for i = 3, #ARGV do
  if not string.find(searched, ',' .. ARGV[i] .. ',', 1, true) then added = added .. ARGV[i] .. ',' end
end
local kept = tonumber(ARGV[2])
if #there + #added > kept * 1.1 then
  local text = there .. added
  redis.call('SET', KEYS[1], string.sub(text, string.find(text, ',', #text - kept, true) + 1))
elseif there == '' then
  redis.call('SET', KEYS[1], added)
elseif added ~= '' then
  redis.call('APPEND', KEYS[1], added)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
