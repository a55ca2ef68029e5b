-- KEYS stream, how much was ever noted, how much was given up; ARGV ms to keep, most that may wait, ids and people
-- separated by commas. Notes what ended for the history, each entry with how much was noted before it. What lies there
-- longer than any record, or is too much, is given up and counted, oldest first, up to 99 entries at a call: of several
-- that are small, as many go as a large one brings. By the server's clock: no other may empty the stream.
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local _, commas = string.gsub(ARGV[3], ',', ',')
local total = redis.call('INCRBY', KEYS[2], commas + 1)
redis.call('XADD', KEYS[1], '*', 't', total - commas - 1, 'e', ARGV[3])
local function is_too_much(entry)
  return tonumber(string.match(entry[1], '^%d+')) <= oldest or total - tonumber(entry[2][2]) > tonumber(ARGV[2])
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if is_too_much(first) then
  local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)
  local place = 1
  while place < #entries and is_too_much(entries[place]) do place = place + 1 end
  redis.call('XTRIM', KEYS[1], 'MINID', '=', entries[place][1])
  redis.call('INCRBY', KEYS[3], tonumber(entries[place][2][2]) - tonumber(first[2][2]))
end
