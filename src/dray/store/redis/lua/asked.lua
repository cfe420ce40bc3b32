--@ keys: asks
-- What a node is asked for. ARGV: node.
return redis.call('HGET', k_asks, ARGV[1])
