--@ keys: live result error reason hold progress history
--@ use: place tally
-- Take a job out of its place, let `change` alter it, and put it where it belongs then.
local function move(job, change)
    unplace(job)
    count(job.queue, job.state, -1)
    change(job)
    count(job.queue, job.state, 1)
    redis.call('HSET', k_live, job.seq, pack_live(job))
    place(job)
end

-- Write a value that may be none.
local function note(key, seq, value)
    if value then
        redis.call('HSET', key, seq, value)
    else
        redis.call('HDEL', key, seq)
    end
end

-- Microseconds to keep a job that was cancelled from outside: its own, or the usual.
local function kept_for(job, usual)
    local options = options_of(job)
    local good, found = pcall(cjson.decode, options)
    if good and type(found) == 'table' and type(found.result_ttl) == 'number' then
        return math.floor(found.result_ttl * 1000000)
    end
    return usual
end

-- Keep a run in the history, unless it is there already.
local function remember(job, word, finished, reason, error)
    local record = cmsgpack.pack({job.attempt, word, job.node, job.started, finished, reason or false, error or false})
    redis.call('HSETNX', k_history, field_of(job.seq, job.claim), record)
    if not has(job.flags, HISTORY) then
        job.flags = job.flags + HISTORY
    end
end

-- End a job that waits.
local function cancel_waiting(job, now, reason, usual)
    move(job, function()
        job.state, job.finished, job.prune_after = CANCELLED, now, now + kept_for(job, usual)
    end)
    redis.call('HSET', k_reason, job.seq, reason)
    redis.call('HDEL', k_hold, job.seq)
end

-- Tell the node that runs a job to stop it.
local function ask_to_cancel(job, reason)
    if not has(job.flags, CANCEL) then
        job.flags = job.flags + CANCEL
    end
    redis.call('HSET', k_live, job.seq, pack_live(job))
    redis.call('HSET', k_reason, job.seq, reason)
    redis.call('ZADD', k_orders, 0, held_member(job.node, job.seq))
end

-- What becomes of a running job. `to`: state, word, delay, keep, counts, lost, reason, error, result. If somebody has asked to
-- cancel it, it does not run again.
local function settle(job, to, now, usual)
    local final = to.state >= SUCCEEDED
    local cancel = has(job.flags, CANCEL)
    if to.word then
        remember(job, to.word, now, to.reason, to.error)
    end
    move(job, function()
        if final then
            job.state, job.finished, job.prune_after = to.state, now, now + to.keep
        elseif cancel then
            job.state, job.finished, job.prune_after = CANCELLED, now, now + kept_for(job, usual)
        else
            job.state = to.state == SCHEDULED and to.delay <= 0 and READY or to.state
            job.due, job.started, job.node = now + to.delay, 0, 0
        end
        if not to.counts then
            job.attempt = job.attempt - 1
        end
        if to.lost then
            job.losses = job.losses + 1
        end
        if cancel then
            job.flags = job.flags - CANCEL
        end
    end)
    if to.reason then
        redis.call('HSET', k_reason, job.seq, to.reason)
    end
    if to.error then
        redis.call('HSET', k_error, job.seq, to.error)
    end
    note(k_result, job.seq, to.result)
end

-- The running job that a claim is valid for, or nil. `began`: when that claim was made (0: not known); where the server has lost what
-- it had acknowledged, two claims may have the same number.
local function held(seq, claim, began)
    local job = load(seq)
    if job and job.state == RUNNING and job.claim == claim and (began == 0 or job.started == began) then
        return job
    end
end
