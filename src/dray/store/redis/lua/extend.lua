--@ keys: orders live reason
--@ use: clock full nodes job orders
-- Renew leases. ARGV: now, steady ('' is now), boot, lease, then for each node its number and the microseconds since it last looked
-- for jobs. Answer: the nodes that are known, and for each order: node, job, claim, reason. A lease that has run out is renewed as
-- long as nobody has acted on it: so a server that was away for a while costs nobody their jobs.
local now = clock(ARGV[1])
local steady = ARGV[2] == '' and now or tonumber(ARGV[2])
write_though_full()
local alive, found = {}, {}
for i = 5, #ARGV, 2 do
    local node = node_of(ARGV[i])
    if node and node.boot == ARGV[3] then
        redis.call('ZADD', k_leases, steady + tonumber(ARGV[4]), ARGV[i])
        node.renewed, node.claimed = now, math.max(node.claimed, now - tonumber(ARGV[i + 1]))
        write_node(node)
        alive[#alive + 1] = tonumber(ARGV[i])
        orders_of(tonumber(ARGV[i]), found)
    end
end
return {alive, found}
