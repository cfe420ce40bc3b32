--@ keys: leases
-- What a worker has begun it must be able to end, also while the memory is full. A server refuses then what may need more of it,
-- unless the script has written before: so it begins by writing nothing, with a command that can need none.
local function write_though_full()
    redis.call('ZREM', k_leases, '')
end
