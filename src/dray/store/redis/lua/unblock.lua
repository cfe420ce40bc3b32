--@ use: clock move ring
-- Start the jobs that waited for the earlier run of their schedule to end. ARGV: now, channels.
local now = clock(ARGV[1])
local freed = false
for _, seq in ipairs(redis.call('ZRANGE', k_blocked, 0, 999)) do
    local job = load(tonumber(seq))
    if not job then
        redis.call('ZREM', k_blocked, seq)
    else
        local name, waits = schedule_of(job), false
        local members = redis.call('ZRANGEBYLEX', k_unfinished, '[' .. name .. '\0', '(' .. name .. '\1', 'LIMIT', 0, 100)
        for _, member in ipairs(members) do
            local other = load(struct.unpack('>d', member, #member - 7))
            if other and other.seq < job.seq and other.state ~= BLOCKED then
                waits = true
            end
        end
        if not waits then
            move(job, function()
                job.state, job.due = READY, now
            end)
            redis.call('HDEL', k_hold, seq)
            freed = true
        end
    end
end
write_tally()
if freed then
    ring(ARGV[2], 'work')
end
