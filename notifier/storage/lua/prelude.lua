-- The format of a delivery's record (see notifier/storage/records.py) and the table of allowed moves.
local RS, US, FIELDS = '\30', '\31', 12
local STATUS, FENCE, TRIES, UPDATED, NEXT, TEMPLATE, REASON = 1, 2, 3, 4, 5, 6, 7
local LEFT, OWNER, NONCE, UNTIL, BEFORE = 8, 9, 10, 11, 12
local MOVES = '@TRANSITIONS@'

local function may(current, following)
  return string.find(MOVES, ' ' .. current .. '>' .. following .. ' ', 1, true) ~= nil
end

-- text → the state's fields, and the rest (head and attempts) with its leading separator
local function parse(text)
  local cut = string.find(text, RS, 1, true)
  local fields, n = {}, 0
  for field in string.gmatch(string.sub(text, 1, cut - 1) .. US, '([^\31]*)\31') do
    n = n + 1
    fields[n] = field
  end
  for i = n + 1, FIELDS do fields[i] = '' end
  return fields, string.sub(text, cut)
end

local function format(fields, rest)
  local n = FIELDS
  while fields[n] == '' do n = n - 1 end
  return table.concat(fields, US, 1, n) .. rest
end

local function drop_lease(fields)
  for i = OWNER, BEFORE do fields[i] = '' end
end

