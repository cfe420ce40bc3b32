--@ keys: nodes leases
-- A node: entered, renewed, claimed (0: never), whether it stops, the boot that its lease belongs to; behind that what it said of
-- itself, which is nothing to us.
local NODE = '>dddBHc0'

local function node_of(id)
    local raw = redis.call('HGET', k_nodes, id)
    if not raw then
        return nil
    end
    local node = {id = id}
    local rest
    node.entered, node.renewed, node.claimed, node.stopping, node.boot, rest = struct.unpack(NODE, raw)
    node.said = string.sub(raw, rest)
    return node
end

local function write_node(node)
    local head = struct.pack(NODE, node.entered, node.renewed, node.claimed, node.stopping, #node.boot, node.boot)
    redis.call('HSET', k_nodes, node.id, head .. node.said)
end
