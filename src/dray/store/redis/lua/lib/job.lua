--@ keys: body live
--@ use: states
-- A job is two strings. `body` is what was asked for, and changes only by hand; `live` is how far it is, and is missing as long as
-- nothing has happened to it.
local function has(flags, flag)
    return flags % (flag * 2) >= flag
end

-- How far a job is. `raw`: its body; `told`: its live string, or false.
local function read(seq, raw, told)
    local job = {seq = seq, raw = raw}
    local due, tail
    due, job.enqueued, job.expires, job.executor, job.rank, job.most, job.queue, job.task, job.id, tail = struct.unpack(HEAD, raw)
    job.tail = tail
    if told then
        job.state, job.flags, job.claim, job.attempt, job.losses, job.node, job.started, job.due, job.finished, job.prune_after =
            struct.unpack(LIVE, told)
    else
        job.state = due > job.enqueued and SCHEDULED or READY
        job.flags, job.claim, job.attempt, job.losses, job.node, job.started, job.due, job.finished, job.prune_after =
            0, 0, 0, 0, 0, 0, due, 0, 0
        if job.expires > 0 then
            job.flags = job.flags + EXPIRES
        end
        if struct.unpack('>H', raw, tail) > 0 then
            job.flags = job.flags + OF_SCHEDULE
        end
    end
    return job
end

local function load(seq)
    local raw = redis.call('HGET', k_body, seq)
    return raw and read(seq, raw, redis.call('HGET', k_live, seq))
end

local function pack_live(job)
    return struct.pack(
        LIVE, job.state, job.flags, job.claim, job.attempt, job.losses, job.node, job.started, job.due, job.finished, job.prune_after
    )
end

-- What stands behind the head: schedule and options ('' is none), then tags, parent and arguments, which nobody asks for here.
local function schedule_of(job)
    return (struct.unpack('>Hc0', job.raw, job.tail))
end

local function options_of(job)
    local _, options = struct.unpack('>Hc0I4c0', job.raw, job.tail)
    return options
end
