--@ keys: result error reason hold progress
--@ use: job
-- Everything of a job, as ten strings (false: there is none).
local function whole(seq)
    local answer = {seq, redis.call('HGET', k_body, seq), redis.call('HGET', k_live, seq)}
    for i, key in ipairs({k_result, k_error, k_reason, k_hold, k_progress}) do
        answer[i + 3] = redis.call('HGET', key, seq)
    end
    return answer
end
