-- KEYS stream, count of what was given up; ARGV ms to keep, what ended: ids and people, separated by commas
-- Notes what ended for the history. What lies there longer than any record is given up and counted, twice as fast as new
-- entries come: nobody could read these records any more. By the server's clock: no other may empty the stream.
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
redis.call('XADD', KEYS[1], '*', 'e', ARGV[2])
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', string.format('%d', oldest), 'COUNT', 2)) do
  local _, commas = string.gsub(entry[2][2], ',', ',')
  redis.call('XDEL', KEYS[1], entry[1])
  redis.call('INCRBY', KEYS[2], commas + 1)
end
