--@ use: clock forget
-- Forget finished jobs whose time to be kept is over. ARGV: now, how many at most. Answer: how many.
local seqs = redis.call('ZRANGEBYSCORE', k_prune, '-inf', clock(ARGV[1]), 'LIMIT', 0, ARGV[2])
local jobs = {}
for _, seq in ipairs(seqs) do
    local job = load(tonumber(seq))
    if job then
        jobs[#jobs + 1] = job
    else
        redis.call('ZREM', k_prune, seq)
    end
end
forget(jobs)
write_tally()
return #seqs
