--@ keys: leaders
-- Give the lead back. ARGV: role, node.
local told = redis.call('HGET', k_leaders, ARGV[1])
if told and cmsgpack.unpack(told)[3] == ARGV[2] then
    redis.call('HDEL', k_leaders, ARGV[1])
end
