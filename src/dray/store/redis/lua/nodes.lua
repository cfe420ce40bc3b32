--@ keys: running
--@ use: clock nodes
-- The workers. ARGV: now, steady ('' is now), boot. Answer: for each its number, whether its lease is good, entered, renewed, claimed,
-- whether it stops, how many jobs it runs, what it said of itself.
local steady = ARGV[2] == '' and clock(ARGV[1]) or tonumber(ARGV[2])
local answer = {}
local ids = redis.call('ZRANGE', k_leases, 0, 4999, 'WITHSCORES')
for i = 1, #ids, 2 do
    local node = node_of(ids[i])
    if node then
        local lane = struct.pack('>d', tonumber(ids[i]))
        local alive = node.boot == ARGV[3] and tonumber(ids[i + 1]) >= steady
        answer[#answer + 1] = {
            tonumber(ids[i]), alive and 1 or 0, node.entered, node.renewed, node.claimed, node.stopping,
            redis.call('ZLEXCOUNT', k_running, '[' .. lane, '[' .. lane .. string.rep('\255', 9)), node.said
        }
    end
end
return answer
