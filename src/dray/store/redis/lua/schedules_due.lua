--@ keys: schedules ticks
--@ use: clock
-- The schedules that are to fire. ARGV: now, how many at most. Answer: now, then name and row of each.
local now = clock(ARGV[1])
local answer = {now}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', k_ticks, '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local row = redis.call('HGET', k_schedules, name)
    if row then
        answer[#answer + 1] = name
        answer[#answer + 1] = row
    else
        redis.call('ZREM', k_ticks, name)
    end
end
return answer
