--@ keys: nodes
--@ use: asks ring
-- Ask a node for something. ARGV: channels, node, what, how many open ones are kept. Answer: whether it is known.
for _, id in ipairs(redis.call('HKEYS', k_asks)) do -- who left by a version that knows nothing of asks
    if redis.call('HEXISTS', k_nodes, id) == 0 then
        forget_asks(id)
    end
end
if redis.call('HEXISTS', k_nodes, ARGV[2]) == 0 then
    return 0
end
local asks = asks_of(ARGV[2])
asks[1] = asks[1] + 1
asks[#asks + 1], asks[#asks + 2] = asks[1], ARGV[3]
while #asks > 1 + 2 * tonumber(ARGV[4]) do
    table.remove(asks, 2)
    table.remove(asks, 2)
end
redis.call('HSET', k_asks, ARGV[2], cmsgpack.pack(asks))
ring(ARGV[1], 'orders')
return 1
