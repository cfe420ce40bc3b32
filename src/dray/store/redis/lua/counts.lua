--@ keys: counts
-- The counters. Fields that have come to nothing are forgotten on the way.
local told = redis.call('HGETALL', k_counts)
local answer = {}
for i = 1, #told, 2 do
    if told[i + 1] == '0' then
        redis.call('HDEL', k_counts, told[i])
    else
        answer[#answer + 1] = told[i]
        answer[#answer + 1] = told[i + 1]
    end
end
return answer
