--@ keys: due ready body live
--@ use: job place tally
-- Make ready what has become due, at most `limit` jobs; how many.
local function promote(now, limit)
    local seqs = redis.call('ZRANGEBYSCORE', k_due, '-inf', now, 'LIMIT', 0, limit)
    if #seqs == 0 then
        return 0
    end
    local bodies, lives = redis.call('HMGET', k_body, unpack(seqs)), redis.call('HMGET', k_live, unpack(seqs))
    local ready, changed = {}, {}
    for i, seq in ipairs(seqs) do
        if bodies[i] then -- else its data is gone, and it means nothing any more
            local job = read(tonumber(seq), bodies[i], lives[i])
            count(job.queue, SCHEDULED, -1)
            count(job.queue, READY, 1)
            job.state = READY
            ready[#ready + 1] = 0
            ready[#ready + 1] = ready_member(job)
            changed[#changed + 1] = seq
            changed[#changed + 1] = pack_live(job)
        end
    end
    redis.call('ZREM', k_due, unpack(seqs))
    if #ready > 0 then
        redis.call('ZADD', k_ready, unpack(ready))
        redis.call('HSET', k_live, unpack(changed))
    end
    return #ready / 2
end

-- When the next one becomes due; -1: there is none.
local function next_due()
    local first = redis.call('ZRANGE', k_due, 0, 0, 'WITHSCORES')
    return first[2] and tonumber(first[2]) or -1
end
