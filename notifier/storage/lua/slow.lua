-- A relay or domain said that we are too fast.
-- KEYS adapted scopes, version of all limits, courses of adaptation, state of the scope
-- ARGV scope, rate to assume where none is configured (0: one is), its share in force at first, least rate
--      (a second if it is learned, else a share of the configured one),
--      ms between cuts, now in ms → 1 when this cut the rate, 0 when it had been cut a moment ago
-- An adapted scope is 'factor learned-rate changed-at course': 'search' until it was told a second time, then 'known'.
-- What else its course needs is 'ceiling steps cut-at'.
local text = redis.call('HGET', KEYS[1], ARGV[1])
local now, assumed = tonumber(ARGV[6]), tonumber(ARGV[2])
local factor, learned, way = 1, '0', ''
if text then
  factor, learned, way = string.match(text, '^(%S+) (%S+) %S+ ?(%S*)$')
  factor = tonumber(factor)
  local cut = string.match(redis.call('HGET', KEYS[3], ARGV[1]) or '', '(%S+)$')
  -- What was under way when the rate was cut is refused too. Workers' clocks differ, so a cut may lie a little ahead;
  -- one that lies far ahead was made by a clock that has been set back since.
  if cut and math.abs(now - tonumber(cut)) < tonumber(ARGV[5]) then
    if way == 'search' and learned ~= '0' and assumed > 0 then
      -- Another worker told what it got through in the same moment: together they got through the sum.
      learned = string.format('%.6f', tonumber(learned) + assumed)
      redis.call('HSET', KEYS[1], ARGV[1], string.format('%.6f %s %s search', factor, learned, ARGV[6]))
      redis.call('INCR', KEYS[2])
    end
    return 0
  end
end

-- A course counts from where it was told that it is too fast: 'ceiling', a share of the full rate. The full rate of a
-- learned limit is where it is forgotten, and moves along.
local share, ceiling, known = tonumber(ARGV[3]), factor, text
local wanted = factor / 2
way = 'known'
if learned ~= '0' then
  -- What got through a moment ago is borne; but no complaint makes anything faster.
  local rate = factor * tonumber(learned)
  learned = string.format('%.6f', 2 * math.max(rate / 2, math.min(rate, tonumber(ARGV[4]))) / share)
  wanted, ceiling, known = share / 2, share, nil
elseif not text and assumed > 0 then
  learned, wanted, ceiling, way = ARGV[2], share / 2, 0, 'search'
else
  wanted = math.max(wanted, math.min(factor, tonumber(ARGV[4])))
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.6f %s %s %s', wanted, learned, ARGV[6], way))
redis.call('HSET', KEYS[3], ARGV[1], string.format('%.6f 0 %s', ceiling, ARGV[6]))
if not known then redis.call('INCR', KEYS[2]) end
-- Those who were sent away were counted by the rate of before.
local state = redis.call('GET', KEYS[4])
if state then
  redis.call('SET', KEYS[4], string.match(state, '^%S+ %S+ %S+ %S+'), 'KEEPTTL')
end
return 1
