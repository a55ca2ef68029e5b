-- KEYS event; the first byte of its record says whether every task of it was confirmed
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('SETRANGE', KEYS[1], 0, '1') end
return 1
