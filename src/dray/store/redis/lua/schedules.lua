--@ keys: schedules
-- All schedules: name and row of each.
return redis.call('HGETALL', k_schedules)
