--@ keys: ready due parked running expires prune ended blocked unfinished orders
--@ use: job
-- Where a job stands beside its data: each state has its own sorted set. Those without a score are ordered by their members, which
-- are made so that bytes sort as the jobs should.
local function ready_member(job)
    return struct.pack('>B', job.executor) .. job.queue .. '\0' .. struct.pack('>Bdd', job.rank + 128, job.due, job.seq)
end

local function parked_member(job)
    return job.task .. '\0' .. ready_member(job)
end

local function held_member(node, seq)
    return struct.pack('>dd', node, seq)
end

local function ended_member(job)
    return job.id .. struct.pack('>d', job.seq)
end

local function schedule_member(job)
    return schedule_of(job) .. '\0' .. struct.pack('>d', job.seq)
end

-- Put a job where its state belongs; how much was missing.
local function place(job)
    local state, seq, added = job.state, job.seq, 0
    if state == READY then
        added = redis.call('ZADD', k_ready, 0, ready_member(job))
    elseif state == SCHEDULED then
        added = redis.call('ZADD', k_due, job.due, seq)
    elseif state == PARKED then
        added = redis.call('ZADD', k_parked, 0, parked_member(job))
    elseif state == RUNNING then
        added = redis.call('ZADD', k_running, 0, held_member(job.node, seq))
    elseif state == BLOCKED then
        added = redis.call('ZADD', k_blocked, 0, seq)
    elseif state ~= SLEEPING then
        added = redis.call('ZADD', k_prune, job.prune_after, seq)
        if state ~= SUCCEEDED then
            added = added + redis.call('ZADD', k_ended, 0, ended_member(job))
        end
    end
    if has(job.flags, EXPIRES) and (state == READY or state == SCHEDULED or state == PARKED) then
        added = added + redis.call('ZADD', k_expires, job.expires, seq)
    end
    if has(job.flags, OF_SCHEDULE) and (state < SUCCEEDED or state == PARKED) then
        added = added + redis.call('ZADD', k_unfinished, 0, schedule_member(job))
    end
    return added
end

-- The opposite.
local function unplace(job)
    local state, seq = job.state, job.seq
    if state == READY then
        redis.call('ZREM', k_ready, ready_member(job))
    elseif state == SCHEDULED then
        redis.call('ZREM', k_due, seq)
    elseif state == PARKED then
        redis.call('ZREM', k_parked, parked_member(job))
    elseif state == RUNNING then
        redis.call('ZREM', k_running, held_member(job.node, seq))
        if has(job.flags, CANCEL) then
            redis.call('ZREM', k_orders, held_member(job.node, seq))
        end
    elseif state == BLOCKED then
        redis.call('ZREM', k_blocked, seq)
    elseif state ~= SLEEPING then
        redis.call('ZREM', k_prune, seq)
        if state ~= SUCCEEDED then
            redis.call('ZREM', k_ended, ended_member(job))
        end
    end
    if has(job.flags, EXPIRES) then
        redis.call('ZREM', k_expires, seq)
    end
    if has(job.flags, OF_SCHEDULE) then
        redis.call('ZREM', k_unfinished, schedule_member(job))
    end
end
