--@ keys: queues
--@ use: clock
-- Pause a queue. ARGV: now, name, by whom.
local told = redis.call('HGET', k_queues, ARGV[2])
local since = told and struct.unpack('>d', told) or 0
redis.call('HSET', k_queues, ARGV[2], struct.pack('>d', since > 0 and since or clock(ARGV[1])) .. ARGV[3])
