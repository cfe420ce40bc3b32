--@ keys: ids body live result error reason hold progress history logs
--@ use: place tally
-- Forget jobs, with all that is kept of them.
local function forget(jobs)
    local seqs, ids, history = {}, {}, {}
    for i, job in ipairs(jobs) do
        unplace(job)
        count(job.queue, job.state, -1)
        seqs[i], ids[i] = job.seq, job.id .. struct.pack('>d', job.seq)
        if has(job.flags, HISTORY) then
            for claim = 0, job.claim do
                history[#history + 1] = field_of(job.seq, claim)
            end
        end
        if has(job.flags, LOGS) then
            local first, last = struct.unpack('>dd', redis.call('HGET', k_logs, job.seq))
            for line = first, last do
                redis.call('HDEL', k_logs, field_of(job.seq, line))
            end
            redis.call('HDEL', k_logs, job.seq)
        end
    end
    if #seqs > 0 then
        redis.call('ZREM', k_ids, unpack(ids))
        for _, key in ipairs({k_body, k_live, k_result, k_error, k_reason, k_hold, k_progress}) do
            redis.call('HDEL', key, unpack(seqs))
        end
    end
    for i = 1, #history, 1000 do
        redis.call('HDEL', k_history, unpack(history, i, math.min(i + 999, #history)))
    end
end
