--@ use: clock full move ring
-- Write what else became of runs. ARGV: now, channels, 1 if the same may have been written already, microseconds to keep what was
-- cancelled, then for each a msgpack of its number, claim and what becomes of it. Answer: as of succeed.
local now, again, usual = clock(ARGV[1]), ARGV[3] == '1', tonumber(ARGV[4])
write_though_full()
local stale, woken, ended = {}, false, false
for i = 5, #ARGV do
    local to = cmsgpack.unpack(ARGV[i])
    local job = held(to.seq, to.claim, to.began)
    if job then
        settle(job, to, now, usual)
        woken = woken or job.state == READY or job.state == SCHEDULED
        ended = ended or job.state >= SUCCEEDED
    else
        local past = again and redis.call('HGET', k_history, field_of(to.seq, to.claim))
        if not past or cmsgpack.unpack(past)[2] ~= to.word then
            stale[#stale + 1] = to.seq
        end
    end
end
write_tally()
if ended then
    ring(ARGV[2], 'done')
end
if woken then
    ring(ARGV[2], 'work')
end
return stale
