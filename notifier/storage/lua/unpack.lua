-- KEYS record, bucket; ARGV field, its value as it was read, text of the record, the hour it expires in, parts
-- → 1 when it is a record of its own again
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local left = ARGV[4] * 3600000 - time[1] * 1000
local fields = {ARGV[1]}
for part = 1, tonumber(ARGV[5]) do fields[#fields + 1] = string.sub(ARGV[1], 1, 10) .. part end
redis.call('HDEL', KEYS[2], unpack(fields))
-- One that is there says what became of it later.
if left > 0 then redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', string.format('%d', left)) end
return 1
