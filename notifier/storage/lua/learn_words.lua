-- KEYS dictionary; ARGV ms to keep, then for each: how many words there may be before it, and the word
-- → how many there are, then the two characters that stand for each, or '' when there are too many
local DIGITS, CODES, NONE = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_', 4096, '--'

-- By what the word is, so that a word that was lost in a failover has the same characters when it is learned again.
local function free(word)
  local number = tonumber(string.sub(redis.sha1hex(word), 1, 3), 16)
  while true do
    local high, low = math.floor(number / 64) + 1, number % 64 + 1
    local code = string.sub(DIGITS, high, high) .. string.sub(DIGITS, low, low)
    if code ~= NONE and redis.call('HEXISTS', KEYS[1], '#' .. code) == 0 then return code end
    number = (number + 1) % CODES
  end
end

local found = {0}
for i = 2, #ARGV, 2 do
  local code = redis.call('HGET', KEYS[1], ARGV[i + 1])
  if not code then
    code = ''
    if redis.call('HLEN', KEYS[1]) / 2 < tonumber(ARGV[i]) then
      code = free(ARGV[i + 1])
      redis.call('HSET', KEYS[1], ARGV[i + 1], code, '#' .. code, ARGV[i + 1])
    end
  end
  found[#found + 1] = code
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
found[1] = redis.call('HLEN', KEYS[1])
return found
