--@ keys: meta
-- Numbers go with the time, so that none is given twice even if the server has lost what it had acknowledged (in a failover, say): who
-- still works on a job that is forgotten must not be taken for one who works on another.
local FIRST = 1577836800000000 -- 2020, in microseconds

-- The number before the next `n`, of which there is one for each `unit` microseconds.
local function numbers(name, n, now, unit)
    local last = tonumber(redis.call('HGET', k_meta, name) or 0)
    local before = math.max(last, math.floor((now - FIRST) / unit))
    redis.call('HSET', k_meta, name, before + n)
    return before
end
