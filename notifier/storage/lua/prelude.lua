-- The format of a delivery's record (see notifier/storage/records.py) and the table of allowed moves.
local RS, US, FIELDS = '\30', '\31', 12
local STATUS, FENCE, TRIES, UPDATED, NEXT, TEMPLATE, REASON = 1, 2, 3, 4, 5, 6, 7
local LEFT, OWNER, NONCE, UNTIL, BEFORE = 8, 9, 10, 11, 12
local MOVES = '@TRANSITIONS@'

local function may(current, following)
  return string.find(MOVES, ' ' .. current .. '>' .. following .. ' ', 1, true) ~= nil
end

-- text → the state's fields, and the rest (head and attempts) with its leading separator. One match for all fields: one
-- after the other they take a third longer.
local function parse(text)
  local a, b, c, d, e, f, g, h, i, j, k, l, cut = string.match(text, '^([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?([^\30\31]*)\31?()')
  return {a, b, c, d, e, f, g, h, i, j, k, l}, string.sub(text, (string.find(text, RS, cut, true)))
end

local function format(fields, rest)
  local n = FIELDS
  while fields[n] == '' do n = n - 1 end
  return table.concat(fields, US, 1, n) .. rest
end

local function drop_lease(fields)
  for i = OWNER, BEFORE do fields[i] = '' end
end

