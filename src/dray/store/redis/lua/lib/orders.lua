--@ keys: orders live reason
--@ use: job
-- Which running jobs of a node are to be cancelled, appended to `found`: node, number, claim, reason.
local function orders_of(node, found)
    local lane = struct.pack('>d', node)
    for _, member in ipairs(redis.call('ZRANGEBYLEX', k_orders, '[' .. lane, '[' .. lane .. string.rep('\255', 9), 'LIMIT', 0, 1000)) do
        local seq = struct.unpack('>d', member, 9)
        local told = redis.call('HGET', k_live, seq)
        if told then
            local _, _, claim = struct.unpack(LIVE, told)
            local at = #found
            found[at + 1], found[at + 2], found[at + 3], found[at + 4] = node, seq, claim, redis.call('HGET', k_reason, seq) or ''
        end
    end
end
