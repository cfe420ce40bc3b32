--@ use: clock find move ring
-- Cancel in every state. ARGV: now, channels, microseconds to be kept, reason, ids. Answer: for each "cancelled", "asked" (it runs and
-- is told), "final" or "unknown".
local now, usual = clock(ARGV[1]), tonumber(ARGV[3])
local answer, asked, ended = {}, false, false
for i = 5, #ARGV do
    local seq = seq_of(ARGV[i])
    local job = seq and load(seq)
    local word
    if not job then
        word = 'unknown'
    elseif job.state == RUNNING then
        ask_to_cancel(job, ARGV[4])
        word, asked = 'asked', true
    elseif job.state < SUCCEEDED or job.state == PARKED then
        cancel_waiting(job, now, ARGV[4], usual)
        word, ended = 'cancelled', true
    else
        word = 'final'
    end
    answer[#answer + 1] = word
end
write_tally()
if asked then
    ring(ARGV[2], 'orders')
end
if ended then
    ring(ARGV[2], 'done')
end
return answer
