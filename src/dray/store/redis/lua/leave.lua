--@ use: clock nodes asks
-- Take a node off. ARGV: node, and if only when its lease has run out: now, steady ('' is now), boot. Answer: whether it was there.
if ARGV[2] then
    local steady = ARGV[3] == '' and clock(ARGV[2]) or tonumber(ARGV[3])
    local node = node_of(ARGV[1])
    if not node or (node.boot == ARGV[4] and tonumber(redis.call('ZSCORE', k_leases, ARGV[1]) or 0) >= steady) then
        return 0
    end
end
redis.call('ZREM', k_leases, ARGV[1])
forget_asks(ARGV[1])
return redis.call('HDEL', k_nodes, ARGV[1])
