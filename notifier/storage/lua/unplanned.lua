-- uses packs
-- KEYS state and words?, event, its buckets; ARGV state, buckets, words, field, head, ms to keep
-- → 'stale' or 'lost words'; {0} written, or as it was planned before; or the head of another event with this id that is planned or
-- being planned; 'unpack' when it is in a bucket
local outdated = is_outdated()
if outdated then return outdated end
local text = redis.call('GET', KEYS[FIRST])
local head = ARGV[5]
if text then
  local state, mark = string.match(text, '^(.)(%x*)')
  local ours = string.match(head, '^.(%x*)')
  local differs = mark ~= ours and mark ~= ''
  if state == '1' or (state == '0' and differs and ours ~= '') then
    return {differs and string.match(text, '^[^\030]*') or 0}
  end
  -- When it first came, and what was planned of it.
  local received = string.match(text, '^[^\031]*(\031[^\031\030]*)')
  head = string.gsub(head, '\031[^\031]*', (string.gsub(received, '%%', '%%%%')), 1)
  text = head .. (string.match(text, '\030.*$') or '\030')
elseif packed(FIRST, ARGV[4]) then
  return {'unpack'}
else
  text = head .. '\030'
end
redis.call('SET', KEYS[FIRST], text, 'PX', ARGV[6])
return {0}
