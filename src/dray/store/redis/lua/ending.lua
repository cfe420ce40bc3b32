--@ keys: result error reason
--@ use: find job
-- How far a job is, and with what it ended. ARGV: id. Answer: state, attempt, task, result, error, reason.
local seq = seq_of(ARGV[1])
local job = seq and load(seq)
if not job then
    return false
end
return {
    job.state, job.attempt, job.task, redis.call('HGET', k_result, seq), redis.call('HGET', k_error, seq),
    redis.call('HGET', k_reason, seq)
}
