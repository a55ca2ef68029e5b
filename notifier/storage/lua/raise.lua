-- Mails went through these scopes without a complaint: each may go a little faster.
-- KEYS adapted scopes, version of all limits, courses of adaptation
-- ARGV ms between steps, growth of the first search, steps back to the ceiling, now in ms, then the scopes
-- → how many of them are slowed down still
local now, left = tonumber(ARGV[4]), 0
for i = 5, #ARGV do
  local text = redis.call('HGET', KEYS[1], ARGV[i])
  if text then
    left = left + 1
    local before, learned, changed = string.match(text, '^(%S+) (%S+) (%S+)$')
    local factor, since = tonumber(before), now - tonumber(changed)
    if since < 0 or since >= tonumber(ARGV[1]) then
      local course = redis.call('HGET', KEYS[3], ARGV[i])
      local ceiling, steps, cut = string.match(course or '', '^(%S+) (%S+) (%S+)$')
      ceiling, steps = tonumber(ceiling or 0), tonumber(steps or 0) + 1
      if ceiling > 0 then
        -- Half of the ceiling at the cut, slow around it, ever faster beyond: a cubic.
        local way = steps / tonumber(ARGV[3]) - 1
        factor = math.max(factor, ceiling * (1 + way * way * way / 2))
      else
        factor = factor * tonumber(ARGV[2])
      end
      if factor >= 1 then
        redis.call('HDEL', KEYS[1], ARGV[i])
        redis.call('HDEL', KEYS[3], ARGV[i])
        redis.call('INCR', KEYS[2])
        left = left - 1
      else
        redis.call('HSET', KEYS[1], ARGV[i], string.format('%.6f %s %s', factor, learned, ARGV[4]))
        redis.call('HSET', KEYS[3], ARGV[i], string.format('%.6f %d %s', ceiling, steps, cut or ARGV[4]))
      end
    end
  end
end
return left
