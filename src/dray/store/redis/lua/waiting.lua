--@ keys: due
--@ use: clock promote lanes
-- Whether there is something that a node would get. ARGV: now, want (msgpack). Answer: 1 or 0, now, when the next job becomes due.
local now = clock(ARGV[1])
local want = cmsgpack.unpack(ARGV[2])
local due = next_due()
local parked = parked_tasks(want.tasks)

local function found()
    if due >= 0 and due <= now then
        return 1
    end
    for _, slot in ipairs(want.slots) do
        for _, queue in ipairs(queues_for(want, slot[1], parked)) do
            if not is_paused(queue) then
                local lane = lane_of(slot[1], queue)
                if first_in(k_ready, lane) then
                    return 1
                end
                for _, task in ipairs(parked) do
                    if first_in(k_parked, task .. '\0' .. lane) then
                        return 1
                    end
                end
            end
        end
    end
    return 0
end

return {found(), now, due}
