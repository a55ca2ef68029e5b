-- GCRA over several scopes for a whole batch. All times are microseconds.
-- KEYS the hash of adapted scopes, then the state of each scope
-- ARGV clock or '' for the server's, 1 when short waits may be slept now,
--   patience of newcomers, of those that waited in line, of urgent ones, horizon of the line, number of scopes,
--   three per scope: name, interval (0: limited only while adapted), burst,
--   one per delivery: '!' when urgent, then the numbers of its scopes, each with '+' where it has waited in line
-- → two per delivery: (wait, 0) may go after it; (wait, scope) has a place in this scope's line, comes back after it;
--   (wait, -scope) has none: comes back after it, or any time before when that is beyond the horizon
-- State of a scope: next (when the next may go), line and urgent line (their next free places), interval; while its
-- rate is being found also tail (when the last of those without a place would go).
-- A rate that is being found doubles within seconds: places far ahead would be kept at the slow rate of before. So they
-- are given for a short reach only, and who has none comes back well before the line could have come to it.
local REACH, LONGEST_AWAY, GROWTH = 8e6, 120e6, 0.262e-6
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(ARGV[1])
end
local sleeps, newcomer, waited, urgent_one = ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local horizon, count = tonumber(ARGV[6]), tonumber(ARGV[7])
if not sleeps then newcomer = 0 end
local adapting = redis.call('EXISTS', KEYS[1]) == 1

-- A changed rate moves the places still to come closer together or further apart; places that have passed are none.
local function stretched(place, factor, interval)
  local ahead = tonumber(place) - now
  return ahead > 0 and now + math.min(ahead * factor, horizon + interval) or 0
end

local function load(number)
  local at = 5 + 3 * number
  local interval, burst = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local course = ''
  if adapting then
    local entry = redis.call('HGET', KEYS[1], ARGV[at]) or ''
    local factor, learned, way = string.match(entry, '^(%S+) (%S+) %S+ ?(%S*)$')
    if factor then
      course = way
      if interval == 0 and learned ~= '0' then interval = 1000000 / tonumber(learned) end
      interval = interval / tonumber(factor)
    end
  end
  if interval == 0 then return nil end
  local scope = {interval = interval, idle = (burst - 1) * interval, next = 0, line = 0, urgent = 0, tail = 0}
  scope.course, scope.reach = course, course == '' and horizon or REACH
  local text = redis.call('GET', KEYS[number + 1])
  if text then
    local next, line, urgent, former, tail = string.match(text, '^(%S+) (%S+) (%S+) (%S+) ?(%S*)$')
    local factor = interval / tonumber(former)
    scope.next = tonumber(next)
    scope.line, scope.urgent = stretched(line, factor, interval), stretched(urgent, factor, interval)
    scope.line = math.min(scope.line, now + scope.reach + interval)
    scope.urgent = math.min(scope.urgent, now + scope.reach + interval)
    scope.tail = now + math.max(0, (tonumber(tail) or 0) - now) * factor
  end
  -- No rest counts for more than the burst, and no clock that was set back or slower rate of before holds it up.
  scope.next = math.max(math.min(scope.next, now + urgent_one + interval), now - scope.idle)
  return scope
end

local scopes = {}
for number = 1, count do scopes[number] = load(number) or false end

local answers = {}
for i = 8 + 3 * count, #ARGV do
  local urgent = string.sub(ARGV[i], 1, 1) == '!'
  local line = urgent and 'urgent' or 'line'
  local longest, place, at = 0, 0, 0
  for digits, mark in string.gmatch(ARGV[i], '(%d+)(%+?)') do
    local number = tonumber(digits)
    local scope = scopes[number]
    if scope then
      local wait = math.max(0, scope.next - now)
      local patience = urgent and urgent_one or mark == '+' and waited or newcomer
      -- While others wait in line, a newcomer takes only what they leave: half of the burst stays theirs.
      local first = mark ~= '+' and scope[line] > now and scope.next > now - scope.idle / 2
      if wait > patience or first then
        local until_place = math.max(scope[line] - now, wait)
        if until_place > place then place, at = until_place, number end
      elseif wait > longest then
        longest = wait
        if place == 0 then at = -number end
      end
    end
  end
  if place > 0 then
    local scope = scopes[at]
    if place <= scope.reach then
      scope[line] = now + place + scope.interval
    else
      if scope.course == 'search' then
        -- When the line comes to it if the rate goes on growing by 30 % a second.
        scope.tail = math.max(scope.tail, now + place) + scope.interval
        place = math.log(1 + (scope.tail - now) * GROWTH) / GROWTH
      elseif scope.course ~= '' then
        -- When half of those before it have gone: twice as many come back as could go, for the rate may double.
        scope.tail = math.max(scope.tail, now + place) + scope.interval / 2
        place = scope.tail - now
      end
      if scope.course ~= '' then place = math.min(place, LONGEST_AWAY) end
      at = -at
    end
    answers[#answers + 1], answers[#answers + 2] = place, at
  elseif longest > 0 and not sleeps then
    answers[#answers + 1], answers[#answers + 2] = longest, at
  else
    for digits in string.gmatch(ARGV[i], '%d+') do
      local scope = scopes[tonumber(digits)]
      if scope then scope.next = scope.next + scope.interval end
    end
    answers[#answers + 1], answers[#answers + 2] = longest, 0
  end
end

for number = 1, count do
  local scope = scopes[number]
  if scope then
    local keep = math.max(scope.next + scope.idle, scope.line, scope.urgent, scope.tail) - now
    if keep > 0 then
      local text = string.format('%.2f %.2f %.2f %.6f', scope.next, scope.line, scope.urgent, scope.interval)
      if scope.tail > now then text = text .. string.format(' %.2f', scope.tail) end
      redis.call('SET', KEYS[number + 1], text, 'PX', math.ceil(keep / 1000) + 1000)
    end
  end
end
return answers
