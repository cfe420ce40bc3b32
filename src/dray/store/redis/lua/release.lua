--@ use: clock move ring
-- Give back jobs that were claimed and not started: the attempt does not count. ARGV: now, channels, microseconds to keep what was
-- cancelled, then number, claim and start of each.
local now, usual = clock(ARGV[1]), tonumber(ARGV[3])
for i = 4, #ARGV, 3 do
    local job = held(tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
    if job and has(job.flags, CANCEL) then
        settle(job, {state = READY, word = 'interrupted', delay = 0}, now, usual)
    elseif job then
        move(job, function()
            job.state, job.node, job.started, job.attempt = READY, 0, 0, job.attempt - 1
        end)
    end
end
write_tally()
ring(ARGV[2], 'done')
ring(ARGV[2], 'work')
