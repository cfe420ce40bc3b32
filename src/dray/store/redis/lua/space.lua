--@ keys: body live ids ready due parked running blocked prune ended expires unfinished orders result error reason hold progress
--@ keys: history logs counts queues nodes leases leaders schedules ticks meta figures figure_times audit asks answers
-- How large the keys are. Answer: which server this is, the bytes that it uses (0: it does not tell), then for each key the number of
-- its elements and its bytes (0: it does not tell).
local function told(section, name)
    local text = redis.pcall('INFO', section)
    return type(text) == 'string' and string.match(text, name .. ':([^\r\n]*)') or ''
end

local answer = {told('server', 'run_id'), tonumber(told('memory', 'used_memory')) or 0}
for _, key in ipairs(KEYS) do
    local kind = redis.call('TYPE', key).ok
    local n = kind == 'hash' and redis.call('HLEN', key) or kind == 'zset' and redis.call('ZCARD', key) or 0
    local size = n > 0 and redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 20)
    answer[#answer + 1] = n
    answer[#answer + 1] = type(size) == 'number' and size or 0
end
return answer
