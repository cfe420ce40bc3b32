--@ keys: meta
--@ use: clock full nodes numbers
-- A new node. ARGV: now, steady ('' is now), boot, lease, what it says of itself, its number ('' is the next). Answer: its number.
local now = clock(ARGV[1])
local steady = ARGV[2] == '' and now or tonumber(ARGV[2])
write_though_full()
local id = ARGV[6] ~= '' and tonumber(ARGV[6]) or numbers('node', 1, now, 100000) + 1
write_node({id = id, entered = now, renewed = now, claimed = 0, stopping = 0, boot = ARGV[3], said = ARGV[5]})
redis.call('ZADD', k_leases, steady + tonumber(ARGV[4]), id)
return id
