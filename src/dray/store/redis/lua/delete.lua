--@ use: find forget
-- Forget jobs that do not run. ARGV: ids. Answer: for each "deleted", "running" or "unknown".
local answer = {}
for i, id in ipairs(ARGV) do
    local seq = seq_of(id)
    local job = seq and load(seq)
    if not job then
        answer[i] = 'unknown'
    elseif job.state == RUNNING then
        answer[i] = 'running'
    else
        forget({job})
        answer[i] = 'deleted'
    end
end
write_tally()
return answer
