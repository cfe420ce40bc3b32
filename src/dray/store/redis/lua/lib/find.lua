--@ keys: ids
-- The number of the job with this id, or nil.
local function seq_of(id)
    local member = redis.call('ZRANGEBYLEX', k_ids, '[' .. id, '[' .. id .. '\255', 'LIMIT', 0, 1)[1]
    return member and struct.unpack('>d', member, 17)
end
