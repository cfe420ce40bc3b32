--@ keys: leases running nodes
--@ use: nodes
-- The nodes whose lease has run out, or belongs to another boot.
local function expired_nodes(steady, boot)
    if boot == '' then
        return redis.call('ZRANGEBYSCORE', k_leases, '-inf', '(' .. string.format('%.0f', steady))
    end
    local found = {}
    for _, id in ipairs(redis.call('ZRANGE', k_leases, 0, -1)) do
        local node = node_of(id)
        if not node or node.boot ~= boot or tonumber(redis.call('ZSCORE', k_leases, id)) < steady then
            found[#found + 1] = id
        end
    end
    return found
end

-- Nodes that run something and are not known: nothing should make them, and nothing may hide them. Found by hopping from one to
-- the next.
local function orphaned_nodes(most)
    local found, from = {}, '-'
    while #found < most do
        local member = redis.call('ZRANGEBYLEX', k_running, from, '+', 'LIMIT', 0, 1)[1]
        if not member then
            break
        end
        local id = struct.unpack('>d', member)
        if redis.call('HEXISTS', k_nodes, string.format('%.0f', id)) == 0 then
            found[#found + 1] = id
        end
        from = '[' .. string.sub(member, 1, 8) .. string.rep('\255', 9)
    end
    return found
end
