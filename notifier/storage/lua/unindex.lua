-- KEYS bucket of people; ARGV a person's part (letters and digits only) → 1 when something was taken out
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local kept, found = string.gsub(',' .. text, ',' .. ARGV[1] .. '[^,]*', '')
if found == 0 then return 0 end
if kept == ',' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.sub(kept, 2), 'KEEPTTL')
end
return 1
