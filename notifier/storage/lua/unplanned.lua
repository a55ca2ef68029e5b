-- KEYS event; ARGV head, ms to keep
-- → 0 written, or as it was planned before; or the head of another event with this id that is planned or being planned
local text = redis.call('GET', KEYS[1])
local head = ARGV[1]
if text then
  local state, mark = string.match(text, '^(.)(%x*)')
  local ours = string.match(head, '^.(%x*)')
  local differs = mark ~= ours and mark ~= ''
  if state == '1' or (state == '0' and differs and ours ~= '') then
    return differs and string.match(text, '^[^\030]*') or 0
  end
  -- When it first came, and what was planned of it.
  local received = string.match(text, '^[^\031]*(\031[^\031\030]*)')
  head = string.gsub(head, '\031[^\031]*', (string.gsub(received, '%%', '%%%%')), 1)
  text = head .. (string.match(text, '\030.*$') or '\030')
else
  text = head .. '\030'
end
redis.call('SET', KEYS[1], text, 'PX', ARGV[2])
return 0
