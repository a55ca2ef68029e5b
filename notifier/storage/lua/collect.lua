-- KEYS item, open window, its items, due windows
-- ARGV item id, group, due if it opens a window, now, items that close it or 0, rule, content, ms to remember the item,
--      items kept, bytes kept
-- → 'old WINDOW' (collected before) | 'new WINDOW DUE' | 'full WINDOW' (close it, then collect again)
local seen = redis.call('GET', KEYS[1])
if seen then return 'old ' .. seen end
local open = redis.call('HMGET', KEYS[2], 'window', 'due', 'total', 'bytes')
local window, due = open[1] or ARGV[1], open[2] or ARGV[3]
local total, bytes, most = tonumber(open[3] or 0), tonumber(open[4] or 0), tonumber(ARGV[5])
if most > 0 and total >= most then return 'full ' .. window end

if not open[1] then
  redis.call('HSET', KEYS[2], 'window', window, 'due', due, 'opened', ARGV[4], 'rule', ARGV[6])
end
total = total + 1
-- The first item is always kept: it says whom the digest is for.
if total == 1 or (total <= tonumber(ARGV[9]) and bytes + #ARGV[7] <= tonumber(ARGV[10])) then
  redis.call('RPUSH', KEYS[3], ARGV[7])
  bytes = bytes + #ARGV[7]
else
  redis.call('RPUSH', KEYS[3], '-' .. ARGV[1])
end
local full = most > 0 and total >= most and tonumber(due) > tonumber(ARGV[4])
if full then due = ARGV[4] end
redis.call('HSET', KEYS[2], 'total', total, 'bytes', bytes)
-- Whoever has taken a window that is due to close it said until when; an item that joins it meanwhile must not change that.
if full then
  redis.call('ZADD', KEYS[4], due, ARGV[2] .. ' ' .. window)
else
  redis.call('ZADD', KEYS[4], 'NX', due, ARGV[2] .. ' ' .. window)
end
-- Behind the window its group, by which the window is found; whoever asks again reads the first word alone.
redis.call('SET', KEYS[1], window .. ' ' .. ARGV[2], 'PX', ARGV[8])
return 'new ' .. window .. ' ' .. due
