--@ keys: ready parked queues
-- Finding the way among waiting jobs: they are ordered by executor, queue, rank, due and number.
local function lane_of(executor, queue)
    return struct.pack('>B', executor) .. queue .. '\0'
end

-- The end of everything that begins with `lane`, whose last byte is 0.
local function after(lane)
    return '(' .. string.sub(lane, 1, -2) .. '\1'
end

local function first_in(key, lane)
    return redis.call('ZRANGEBYLEX', key, '[' .. lane, after(lane), 'LIMIT', 0, 1)[1]
end

-- The queues (at most `most`) in which something waits, each found by one hop from the one before. `head`: what stands in front of
-- the queue's name.
local function busy_queues(key, head, most, into)
    local from, found = '[' .. head, 0
    while found < most do
        local member = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, 1)[1]
        if not member or string.sub(member, 1, #head) ~= head then
            return
        end
        local queue = string.sub(member, #head + 1, string.find(member, '\0', #head + 1, true) - 1)
        into[queue] = true
        found = found + 1
        from = '[' .. head .. queue .. '\1'
    end
end

local paused = nil

local function is_paused(queue)
    if paused == nil then
        paused = redis.call('HLEN', k_queues) > 0
    end
    local told = paused and redis.call('HGET', k_queues, queue)
    return told and struct.unpack('>d', told) > 0
end

-- The tasks among `tasks` of which jobs are parked, because some node did not know them.
local function parked_tasks(tasks)
    local found = {}
    if redis.call('EXISTS', k_parked) == 1 then
        for _, task in ipairs(tasks) do
            local member = redis.call('ZRANGEBYLEX', k_parked, '[' .. task .. '\0', '(' .. task .. '\1', 'LIMIT', 0, 1)[1]
            if member then
                found[#found + 1] = task
            end
        end
        table.sort(found)
    end
    return found
end

-- The queues to look at, in their order. Who serves all of them begins each time with another one.
local QUEUES_AT_ONCE = 200

local function queues_for(want, executor, parked)
    if want.queues then
        return want.queues
    end
    local set, names = {}, {}
    busy_queues(k_ready, struct.pack('>B', executor), QUEUES_AT_ONCE, set)
    for _, task in ipairs(parked) do
        busy_queues(k_parked, task .. '\0' .. struct.pack('>B', executor), QUEUES_AT_ONCE, set)
    end
    for name in pairs(set) do
        names[#names + 1] = name
    end
    table.sort(names)
    local turned, n = {}, #names
    for i = 1, n do
        turned[i] = names[(i - 1 + want.order) % n + 1]
    end
    return turned
end
