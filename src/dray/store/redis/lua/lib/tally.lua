--@ keys: counts
-- How many jobs went into and out of each state of each queue.
local tally = {}

local function count(queue, state, n)
    local field = queue .. '\0' .. state
    tally[field] = (tally[field] or 0) + n
end

local function write_tally()
    for field, n in pairs(tally) do
        if n ~= 0 then
            redis.call('HINCRBY', k_counts, field, n)
        end
    end
end
