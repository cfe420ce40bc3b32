--@ keys: body
--@ use: clock find move ring
-- A final job begins a new life, with its history kept; a scheduled one runs now. ARGV: now, channels, ids. Answer: for each "ready",
-- "unknown", or the number of the state in which it is and cannot be retried.
local now = clock(ARGV[1])
local answer = {}
local words = {[SUCCEEDED] = 'returned', [FAILED] = 'failed', [CANCELLED] = 'cancelled'}
for i = 3, #ARGV do
    local seq = seq_of(ARGV[i])
    local job = seq and load(seq)
    local word = 'ready'
    if not job then
        word = 'unknown'
    elseif words[job.state] then
        local reason, error = redis.call('HGET', k_reason, seq), redis.call('HGET', k_error, seq)
        remember(job, words[job.state], job.finished > 0 and job.finished or now, reason, error)
        move(job, function()
            job.state, job.due, job.finished, job.prune_after, job.attempt, job.losses, job.node, job.started =
                READY, now, 0, 0, 0, 0, 0, 0
            if has(job.flags, EXPIRES) then
                job.flags = job.flags - EXPIRES
                redis.call('HSET', k_body, seq, string.sub(job.raw, 1, 16) .. struct.pack('>d', 0) .. string.sub(job.raw, 25))
            end
        end)
        for _, key in ipairs({k_reason, k_error, k_result, k_progress, k_hold}) do
            redis.call('HDEL', key, seq)
        end
    elseif job.state == SCHEDULED then
        move(job, function()
            job.state, job.due = READY, now
        end)
    else
        word = tostring(job.state)
    end
    answer[#answer + 1] = word
end
write_tally()
ring(ARGV[2], 'work')
return answer
