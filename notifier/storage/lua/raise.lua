-- Mails went through these scopes without a complaint: each that is used to its full may go a little faster.
-- KEYS adapted scopes, version of all limits, courses of adaptation, then the state of each scope
-- ARGV ms between steps, growth of the first search, steps back to nearly the ceiling, the share of it that is nearly,
--      ms until an idle one is forgotten, now in ms, then the scopes → how many of them are slowed down still
local MOST_STEPS = 10
local now, left = tonumber(ARGV[6]), 0
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function forget(scope)
  redis.call('HDEL', KEYS[1], scope)
  redis.call('HDEL', KEYS[3], scope)
  redis.call('INCR', KEYS[2])
end

-- Whether more wants to go than may: two and more have their time ahead of them. Else success says nothing about speed.
local function is_busy(place)
  local next, line, urgent, interval = string.match(redis.call('GET', KEYS[place]) or '', '^(%S+) (%S+) (%S+) (%S+)')
  if not next then return false end
  return math.max(tonumber(next) - tonumber(interval), tonumber(line), tonumber(urgent)) > micros
end

for i = 7, #ARGV do
  local scope, text = ARGV[i], redis.call('HGET', KEYS[1], ARGV[i])
  if text then
    left = left + 1
    local before, learned, changed, way = string.match(text, '^(%S+) (%S+) (%S+) ?(%S*)$')
    -- Workers' clocks differ, so a change may lie a little ahead.
    local factor, since = tonumber(before), math.abs(now - tonumber(changed))
    if since >= tonumber(ARGV[1]) then
      if is_busy(i - 3) then
        local course = redis.call('HGET', KEYS[3], scope)
        local ceiling, steps, cut = string.match(course or '', '^(%S+) (%S+) (%S+)$')
        -- At one mail in four seconds each of them speaks for four.
        local passed = now < tonumber(changed) and 1 or math.min(math.floor(since / tonumber(ARGV[1])), MOST_STEPS)
        steps = tonumber(steps or 0) + passed
        if way == 'search' or not ceiling then
          factor = factor * tonumber(ARGV[2]) ^ passed
        else
          -- Half of the ceiling at the cut, slow a little below it, ever faster beyond: a cubic.
          local part, nearly = steps / tonumber(ARGV[3]) - 1, tonumber(ARGV[4])
          local steep = part < 0 and nearly - 0.5 or 0.5
          factor = math.max(factor, tonumber(ceiling) * (nearly + steep * part * part * part))
        end
        if factor < 1 then
          if way == '' then way = 'known' end
          redis.call('HSET', KEYS[1], scope, string.format('%.6f %s %s %s', factor, learned, ARGV[6], way))
          redis.call('HSET', KEYS[3], scope, string.format('%s %d %s', ceiling or '0', steps, cut or ARGV[6]))
        else
          forget(scope)
          left = left - 1
        end
      elseif since >= tonumber(ARGV[5]) then
        forget(scope)
        left = left - 1
      end
    end
  end
end
return left
