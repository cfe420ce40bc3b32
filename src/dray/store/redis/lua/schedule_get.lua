--@ keys: schedules
--@ use: clock
-- One schedule. ARGV: now, name. Answer: now, its row.
return {clock(ARGV[1]), redis.call('HGET', k_schedules, ARGV[2])}
