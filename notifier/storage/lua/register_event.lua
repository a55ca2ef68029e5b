-- uses packs
-- KEYS state and words?, then for each event: it, its list of chunks, its buckets; ARGV state, buckets, words, bytes of ids kept inline,
-- ms to keep, then for each: head, delivery ids, field, generation and word of its origin in a bucket, or ''
-- → 'stale' or 'lost words', or for each: 1 every task of it was confirmed before, 0 not yet; instead the head that is there, if its
-- content is another; 'unpack' when what is in a bucket is to be changed
local outdated = is_outdated()
if outdated then return outdated end

local function packed_before(at, field, head)
  local value = packed(at, field)
  if not value then return nil end
  local state, mark = string.match(bare(value), '^.......(.)(%x*)')
  if state ~= '1' or (mark ~= '' and mark ~= string.match(head, '^.(%x*)')) then return 'unpack' end
  return 1
end

-- What a bucket keeps: its state, when it came, its id, and its deliveries (packed.py).
local function body_of(code, head, ids)
  return code .. string.match(head, '^[^\31]*\31[^\31]*\31[^\31]*') .. '\31' .. ids
end

local function register(at, head, ids, field, code)
  local text = redis.call('GET', KEYS[at])
  local answer = 0
  if text then
    local state, mark = string.match(text, '^(.)(%x*)')
    local other = mark ~= '' and mark ~= string.match(head, '^.(%x*)') and string.match(text, '^[^\030]*')
    if state == '1' then return other or 1 end
    if state == '0' then
      answer = other or 0
    else
      -- It was parked or put aside: what comes now counts, since when it first came.
      local received = string.match(text, '^[^\031]*(\031[^\031\030]*)')
      text = string.gsub(head, '\031[^\031]*', (string.gsub(received, '%%', '%%%%')), 1) .. string.match(text, '\030.*$')
    end
  else
    local before = packed_before(at + 1, field, head)
    if before then return before end
  end
  local inline = text and string.match(text, '\030(.*)$') or ''
  -- A chunk whose registration is repeated: planning is deterministic, so it is the same text.
  if redis.call('EXISTS', KEYS[at + 1]) == 1 then
    if redis.call('LPOS', KEYS[at + 1], ids) then return answer end
  elseif not text and code ~= '' then
    local body = body_of(code, head, ids)
    if #body <= LONGEST then
      put(at + 1, field, body, ARGV[5])
      return 0
    end
  end

  local fresh = {}
  for id in string.gmatch(ids, '[^,]+') do
    if not string.find(',' .. inline .. ',', ',' .. id .. ',', 1, true) then fresh[#fresh + 1] = id end
  end
  local added = table.concat(fresh, ',')
  if not text then text = head .. '\030' end
  if #inline + #added <= tonumber(ARGV[4]) then
    text = text .. (inline ~= '' and added ~= '' and ',' or '') .. added
  else
    redis.call('RPUSH', KEYS[at + 1], added)
    redis.call('PEXPIRE', KEYS[at + 1], ARGV[5])
  end
  redis.call('SET', KEYS[at], text, 'PX', ARGV[5])
  return answer
end

local answers, at = {}, FIRST
for i = 6, #ARGV, 4 do
  answers[#answers + 1] = register(at, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  at = at + 2 + LEVELS
end
return answers
