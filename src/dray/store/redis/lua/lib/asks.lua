--@ keys: asks answers
-- Of each node: the number of its last ask, then number and words of those that are open.
local function asks_of(node)
    local raw = redis.call('HGET', k_asks, node)
    return raw and cmsgpack.unpack(raw) or {0}
end

local function forget_asks(node)
    redis.call('HDEL', k_asks, node)
    redis.call('HDEL', k_answers, node)
end
