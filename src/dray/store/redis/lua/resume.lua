--@ keys: queues
--@ use: ring
-- Resume a queue. ARGV: channels, name, by whom. Answer: whether it was paused.
local told = redis.call('HGET', k_queues, ARGV[2])
if not told or struct.unpack('>d', told) == 0 then
    return 0
end
redis.call('HSET', k_queues, ARGV[2], struct.pack('>d', 0) .. ARGV[3])
ring(ARGV[1], 'work')
return 1
