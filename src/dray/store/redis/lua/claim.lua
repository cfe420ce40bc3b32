--@ keys: expires running live body
--@ use: clock job tally place move promote lanes nodes ring
-- Take jobs for a node. The attempt is counted before anything of the job is decoded.
-- ARGV: now, steady ('' is now), boot, node, lease, want (msgpack), microseconds to keep what has expired, and its reason, channels,
-- how many may become due, how many may be sorted out. Answer: whether the node is known, now, when the next job becomes due (-1:
-- none), whether there is more to sort out, then for each job its number, body and live string.
local now = clock(ARGV[1])
local steady = ARGV[2] == '' and now or tonumber(ARGV[2])
local id = tonumber(ARGV[4])
local node = node_of(ARGV[4])
if not node or node.boot ~= ARGV[3] then
    return {0, now, -1, 0}
end
if tonumber(redis.call('ZSCORE', k_leases, ARGV[4]) or 0) < steady then
    -- It has run out, and nobody has acted on it yet (the server was away, say): who claims lives.
    redis.call('ZADD', k_leases, steady + tonumber(ARGV[5]), ARGV[4])
end
local want = cmsgpack.unpack(ARGV[6])
local usual, expired, channels = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local limit = tonumber(ARGV[11])
promote(now, tonumber(ARGV[10]))
local known = {}
for _, task in ipairs(want.tasks) do
    known[task] = true
end
local parked = parked_tasks(want.tasks)
local answer, refused, ended = {1, now, -1, 0}, 0, false
local lives, holds, unexpiring, parking = {}, {}, {}, {}

-- Up to `n` jobs of a lane that are known here, in `came` (READY or PARKED); what cannot be run is put elsewhere.
local function take(key, lane, came, n)
    local got = 0
    while got < n and refused < limit do
        local members = redis.call('ZRANGEBYLEX', key, '[' .. lane, after(lane), 'LIMIT', 0, math.min(n - got, 500))
        if #members == 0 then
            break
        end
        local seqs = {}
        for i, member in ipairs(members) do
            seqs[i] = struct.unpack('>d', member, #member - 7)
        end
        local bodies, told = redis.call('HMGET', k_body, unpack(seqs)), redis.call('HMGET', k_live, unpack(seqs))
        for i, seq in ipairs(seqs) do
            if bodies[i] then -- else its data is gone, and it means nothing any more
                local due, enqueued, expires, executor, rank, _, queue, task, _, tail = struct.unpack(HEAD, bodies[i])
                local flags, claim, attempt, losses, _ = 0, 0, 0, 0
                if told[i] then
                    _, flags, claim, attempt, losses, _, _, due = struct.unpack(LIVE, told[i])
                else
                    if expires > 0 then
                        flags = EXPIRES
                    end
                    if struct.unpack('>H', bodies[i], tail) > 0 then
                        flags = flags + OF_SCHEDULE
                    end
                end
                if expires > 0 and expires <= now then
                    local job = read(seq, bodies[i], told[i])
                    job.claim = job.claim + 1
                    cancel_waiting(job, now, expired, usual)
                    refused, ended = refused + 1, true
                elseif known[task] then
                    local live = struct.pack(LIVE, RUNNING, flags, claim + 1, attempt + 1, losses, id, now, due, 0, 0)
                    count(queue, came, -1)
                    count(queue, RUNNING, 1)
                    lives[#lives + 1] = seq
                    lives[#lives + 1] = live
                    holds[#holds + 1] = 0
                    holds[#holds + 1] = held_member(id, seq)
                    if expires > 0 then
                        unexpiring[#unexpiring + 1] = seq
                    end
                    local at = #answer
                    answer[at + 1], answer[at + 2], answer[at + 3] = seq, bodies[i], live
                    got = got + 1
                else -- left for a node that knows it, under the task's name, so that it is not walked over again and again
                    lives[#lives + 1] = seq
                    lives[#lives + 1] = struct.pack(LIVE, PARKED, flags, claim + 1, attempt, losses, 0, 0, due, 0, 0)
                    parking[#parking + 1] = 0
                    parking[#parking + 1] = task .. '\0' .. struct.pack('>B', executor) .. queue .. '\0'
                        .. struct.pack('>Bdd', rank + 128, due, seq)
                    count(queue, came, -1)
                    count(queue, PARKED, 1)
                    refused = refused + 1
                end
            end
        end
        redis.call('ZREMRANGEBYLEX', key, '[' .. lane, '[' .. members[#members])
        for target, added in pairs({[k_running] = holds, [k_parked] = parking}) do
            if #added > 0 then
                redis.call('ZADD', target, unpack(added))
            end
        end
        if #lives > 0 then
            redis.call('HSET', k_live, unpack(lives))
        end
        if #unexpiring > 0 then
            redis.call('ZREM', k_expires, unpack(unexpiring))
        end
        lives, holds, unexpiring, parking = {}, {}, {}, {}
    end
    return got
end

local asked = false
for _, slot in ipairs(want.slots) do
    local executor, left = slot[1], slot[2]
    asked = asked or left > 0
    for _, queue in ipairs(left > 0 and queues_for(want, executor, parked) or {}) do
        if left > 0 and not is_paused(queue) then
            -- Parked jobs first: they have waited longer, and a queue that is never empty must not keep them waiting for ever.
            local lane = lane_of(executor, queue)
            for _, task in ipairs(parked) do
                left = left - take(k_parked, task .. '\0' .. lane, PARKED, left)
            end
            left = left - take(k_ready, lane, READY, left)
        end
    end
end
if asked and now - node.claimed >= 1000000 or now < node.claimed then
    node.claimed = now
    write_node(node)
end
write_tally()
if ended then
    ring(channels, 'done')
end
answer[3] = next_due()
answer[4] = refused >= limit and 1 or 0
return answer
