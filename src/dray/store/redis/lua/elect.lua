--@ keys: leaders
--@ use: clock full
-- Take or renew the lead in a role. ARGV: now, steady ('' is now), boot, role, node, term. Answer: whether it has it.
write_though_full() -- in any case: who has been told that another leads knows too that the store can be written
local steady = ARGV[2] == '' and clock(ARGV[1]) or tonumber(ARGV[2])
local told = redis.call('HGET', k_leaders, ARGV[4])
if told then
    local till, boot, node = unpack(cmsgpack.unpack(told))
    if node ~= ARGV[5] and boot == ARGV[3] and till >= steady then
        return 0
    end
end
redis.call('HSET', k_leaders, ARGV[4], cmsgpack.pack({steady + tonumber(ARGV[6]), ARGV[3], ARGV[5]}))
return 1
