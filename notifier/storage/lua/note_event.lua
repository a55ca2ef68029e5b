-- KEYS event; ARGV what to note, bytes of notes after which no more is noted → 1 noted, also before; 0 it is not there
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local head, ids = string.match(text, '^([^\030]*)(.*)$')
local fields = {}
for field in string.gmatch(head .. '\031', '([^\031]*)\031') do fields[#fields + 1] = field end
for place = #fields + 1, 7 do fields[place] = '' end
if string.find(fields[7], ARGV[1], 1, true) or #fields[7] > tonumber(ARGV[2]) then return 1 end
fields[7] = fields[7] == '' and ARGV[1] or fields[7] .. '; ' .. ARGV[1]
redis.call('SET', KEYS[1], table.concat(fields, '\031') .. ids, 'KEEPTTL')
return 1
