--@ keys: history
--@ use: find job
-- The past runs of a job, the newest 1000 of them. ARGV: id. Answer: claim and record of each.
local seq = seq_of(ARGV[1])
local job = seq and load(seq)
local answer = {}
if job and has(job.flags, HISTORY) then
    local fields, first = {}, math.max(0, job.claim - 999)
    for claim = first, job.claim do
        fields[#fields + 1] = field_of(seq, claim)
    end
    for i, record in ipairs(redis.call('HMGET', k_history, unpack(fields))) do
        if record then
            answer[#answer + 1] = first + i - 1
            answer[#answer + 1] = record
        end
    end
end
return answer
