--@ use: clock move ring
-- Cancel waiting jobs whose time to start is over. ARGV: now, channels, microseconds to be kept, reason, how many at most. Answer: how
-- many.
local now = clock(ARGV[1])
local seqs = redis.call('ZRANGEBYSCORE', k_expires, '-inf', now, 'LIMIT', 0, ARGV[5])
for _, seq in ipairs(seqs) do
    local job = load(tonumber(seq))
    if job then
        cancel_waiting(job, now, ARGV[4], tonumber(ARGV[3]))
    end
    redis.call('ZREM', k_expires, seq)
end
write_tally()
if #seqs > 0 then
    ring(ARGV[2], 'done')
end
return #seqs
