--@ keys: audit
--@ use: clock numbers
-- Keep who did what. ARGV: now, a msgpack of it.
local now = clock(ARGV[1])
redis.call('ZADD', k_audit, 0, struct.pack('>dd', numbers('audit', 1, now, 1000) + 1, now) .. ARGV[2])
