--@ keys: schedules ticks
-- Remove a schedule; jobs that it fired stay. ARGV: name. Answer: whether there was one.
redis.call('ZREM', k_ticks, ARGV[1])
return redis.call('HDEL', k_schedules, ARGV[1])
