--@ keys: running body live
-- What a node runs. ARGV: node, how many at most. Answer: number, body and live string of each.
local lane = struct.pack('>d', tonumber(ARGV[1]))
local answer = {}
for _, member in ipairs(redis.call('ZRANGEBYLEX', k_running, '[' .. lane, '[' .. lane .. string.rep('\255', 9), 'LIMIT', 0, ARGV[2])) do
    local seq = struct.unpack('>d', member, 9)
    local body = redis.call('HGET', k_body, seq)
    if body then
        local at = #answer
        answer[at + 1], answer[at + 2], answer[at + 3] = seq, body, redis.call('HGET', k_live, seq)
    else
        redis.call('ZREM', k_running, member) -- its data is gone, and it means nothing any more
    end
end
return answer
