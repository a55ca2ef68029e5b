-- KEYS event, its list of chunks; ARGV head, delivery ids, bytes of ids kept inline, ms to keep
-- → 1 every task of it was confirmed before, 0 not yet; instead the head that is there, if its content is another
local text = redis.call('GET', KEYS[1])
local answer = 0
if text then
  local state, mark = string.match(text, '^(.)(%x*)')
  local other = mark ~= '' and mark ~= string.match(ARGV[1], '^.(%x*)') and string.match(text, '^[^\030]*')
  if state == '1' then return other or 1 end
  if state == '0' then
    answer = other or 0
  else
    -- It was parked or put aside: what comes now counts, since when it first came.
    local received = string.match(text, '^[^\031]*(\031[^\031\030]*)')
    text = string.gsub(ARGV[1], '\031[^\031]*', (string.gsub(received, '%%', '%%%%')), 1)
      .. string.match(text, '\030.*$')
  end
end
local inline = text and string.match(text, '\030(.*)$') or ''
-- A chunk whose registration is repeated: planning is deterministic, so it is the same text.
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('LPOS', KEYS[2], ARGV[2]) then return answer end

local fresh = {}
for id in string.gmatch(ARGV[2], '[^,]+') do
  if not string.find(',' .. inline .. ',', ',' .. id .. ',', 1, true) then fresh[#fresh + 1] = id end
end
local added = table.concat(fresh, ',')
if not text then text = ARGV[1] .. '\030' end
if #inline + #added <= tonumber(ARGV[3]) then
  text = text .. (inline ~= '' and added ~= '' and ',' or '') .. added
else
  redis.call('RPUSH', KEYS[2], added)
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
redis.call('SET', KEYS[1], text, 'PX', ARGV[4])
return answer
