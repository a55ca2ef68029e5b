-- Buckets of finished records: hashes that stay in Redis's compact form (notifier/storage/packs.py places and writes
-- them). A field's value is its expiry (hours since 1970 in base 36, four characters) and a body; longer than PART, it
-- begins with the number of further fields that hold the rest. Scripts get the state of the buckets as KEYS[1] and the
-- dictionary as KEYS[2], what their caller knows of the state as ARGV[1], '' when nothing is packed, and how many words it
-- knows there are as ARGV[3]. ARGV[2] says how many buckets follow each record's key.
local HOUR, PART, MOST, DEEPEST, LONGEST, FIELD = 3600000, 64, 96, 7, 300, 23
local LEVELS, FIRST = tonumber(ARGV[2]), ARGV[1] ~= '' and 3 or 1
local now
local texts = {}

-- Milliseconds, of the server: it is by its clock that keys expire.
local function clock()
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return now
end

local function hours(ms)
  local left, text = math.ceil(ms / HOUR), ''
  for _ = 1, 4 do
    local digit = left % 36
    text, left = string.char(digit < 10 and 48 + digit or 87 + digit) .. text, (left - digit) / 36
  end
  return text
end

local function after(ms)
  if not texts[ms] then texts[ms] = hours(clock() + ms) end
  return texts[ms]
end

-- What the caller knows that is so no more: other buckets than there are, or words that a failover has lost.
local function is_outdated()
  if ARGV[1] == '' then return nil end
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'stale' end
  return redis.call('HLEN', KEYS[2]) < tonumber(ARGV[3]) and 'lost words' or nil
end

-- A value without the number of its parts.
local function bare(value)
  return string.byte(value) < 58 and string.sub(value, 2) or value
end

-- → a field's first part and its bucket's place in KEYS, from the first of the buckets after `at` that has it alive
local function packed(at, field)
  for place = at + 1, at + LEVELS do
    local value = redis.call('HGET', KEYS[place], field)
    if value and string.sub(bare(value), 1, 4) >= after(0) then return value, place end
  end
end

-- Deeper buckets from now on; those of now are read until the last of them has expired.
local function grow()
  local head, longest, level, older = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+ %w %d+ (%d+)) (%d+)(.*)$')
  if head and tonumber(level) < DEEPEST then
    local over = string.format('%d', clock() + longest + 2 * HOUR)
    redis.call('SET', KEYS[1], head .. ' ' .. (level + 1) .. ' ' .. level .. ':' .. over .. older)
  end
end

-- Take what has expired out of a bucket, once a day or when it is full. Its place to note when is the field ''.
local function tidy(place)
  local count, hour = redis.call('HLEN', KEYS[place]), after(0)
  local due = redis.call('HGET', KEYS[place], '')
  if count <= MOST and due and due > hour then return end
  local dead = {}
  if due or count > MOST then
    local all = redis.call('HGETALL', KEYS[place])
    for i = 1, #all, 2 do
      local field, value = all[i], all[i + 1]
      if #field == FIELD and string.sub(bare(value), 1, 4) < hour then
        dead[#dead + 1] = field
        if string.byte(value) < 58 then
          for part = 1, tonumber(string.sub(value, 1, 1)) do dead[#dead + 1] = string.sub(field, 1, 10) .. part end
        end
      end
    end
  end
  for start = 1, #dead, 1000 do redis.call('HDEL', KEYS[place], unpack(dead, start, math.min(start + 999, #dead))) end
  redis.call('HSET', KEYS[place], '', after(24 * HOUR))
  if count - #dead > MOST * 3 / 4 then grow() end
end

-- Where a text may be cut: not within a character.
local function cut(text, most)
  while most > 1 and string.byte(text, most + 1) >= 128 and string.byte(text, most + 1) < 192 do most = most - 1 end
  return most
end

-- Write a body into the bucket behind `at`, for so many milliseconds.
local function put(at, field, body, keep)
  local bucket = at + 1
  local text = after(tonumber(keep)) .. body
  if #text <= PART then
    redis.call('HSET', KEYS[bucket], field, text)
  else
    local words, most, first = {}, PART - 1
    while #text > most do
      local last = cut(text, most)
      if first then
        words[#words + 1] = string.sub(field, 1, 10) .. (#words / 2 + 1)
        words[#words + 1] = string.sub(text, 1, last)
      else
        first = string.sub(text, 1, last)
      end
      text, most = string.sub(text, last + 1), PART
    end
    words[#words + 1] = string.sub(field, 1, 10) .. (#words / 2 + 1)
    words[#words + 1] = text
    redis.call('HSET', KEYS[bucket], field, (#words / 2) .. first, unpack(words))
  end
  -- A bucket lives as long as its longest. Ahead of that by an eighth, so that this is seldom written.
  if redis.call('PTTL', KEYS[bucket]) < keep + HOUR then
    redis.call('PEXPIRE', KEYS[bucket], string.format('%d', keep + keep / 8 + 2 * HOUR))
  end
  -- One entry of eight looks after its bucket: a, i, q, y in base 32.
  if string.byte(field, FIELD) % 8 == 1 then tidy(bucket) end
end

