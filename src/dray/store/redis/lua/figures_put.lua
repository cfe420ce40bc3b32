--@ keys: figures figure_times
-- Forget rows and write others. ARGV: how many are forgotten, their keys, then key and data of each that is written.
local n = tonumber(ARGV[1])
for i = 2, n + 1, 1000 do
    local last = math.min(i + 999, n + 1)
    redis.call('ZREM', k_figure_times, unpack(ARGV, i, last))
    redis.call('HDEL', k_figures, unpack(ARGV, i, last))
end
for i = n + 2, #ARGV, 1000 do
    local last = math.min(i + 999, #ARGV)
    local members = {}
    for j = i, last, 2 do
        members[#members + 1] = 0
        members[#members + 1] = ARGV[j]
    end
    redis.call('ZADD', k_figure_times, unpack(members))
    redis.call('HSET', k_figures, unpack(ARGV, i, last))
end
