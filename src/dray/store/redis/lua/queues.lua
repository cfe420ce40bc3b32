--@ keys: queues ready body live
--@ use: lanes job
-- When the oldest ready job of each queue was due, and what operators said of it. ARGV: names. Answer: for each its due time (-1), since
-- when it is paused (0), and by whom.
local answer = {}

local function oldest(queue)
    local due = -1
    for executor = 0, 2 do
        local lane = lane_of(executor, queue)
        local from, most = '[' .. lane, after(lane)
        while true do -- one hop for each priority
            local member = redis.call('ZRANGEBYLEX', k_ready, from, most, 'LIMIT', 0, 1)[1]
            if not member then
                break
            end
            local rank, at = struct.unpack('>Bd', member, #lane + 1)
            if due < 0 or at < due then
                due = at
            end
            from = '[' .. lane .. struct.pack('>B', rank + 1)
        end
    end
    return due
end

for i, queue in ipairs(ARGV) do
    local told = redis.call('HGET', k_queues, queue)
    answer[i * 3 - 2], answer[i * 3 - 1], answer[i * 3] = oldest(queue), told and struct.unpack('>d', told) or 0, told and string.sub(told, 9) or ''
end
return answer
