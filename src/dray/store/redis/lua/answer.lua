--@ keys: nodes
--@ use: clock asks
-- A node answers. ARGV: now, node, number of the ask, text.
if redis.call('HEXISTS', k_nodes, ARGV[2]) == 0 then
    return
end
local asks, number = asks_of(ARGV[2]), tonumber(ARGV[3])
local left = {asks[1]}
for i = 2, #asks, 2 do
    if asks[i] ~= number then
        left[#left + 1], left[#left + 2] = asks[i], asks[i + 1]
    end
end
redis.call('HSET', k_asks, ARGV[2], cmsgpack.pack(left))
redis.call('HSET', k_answers, ARGV[2], struct.pack('>d', clock(ARGV[1])) .. ARGV[4])
