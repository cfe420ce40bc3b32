--@ keys: logs progress
--@ use: move
-- What runs say of themselves, each only while its claim is valid. ARGV: lines to keep, a msgpack of progress (JSON, number, claim, start),
-- one of log lines (time, level, text, number, claim, start).
local keep = tonumber(ARGV[1])
for _, said in ipairs(cmsgpack.unpack(ARGV[2])) do
    if held(said[2], said[3], said[4]) then
        redis.call('HSET', k_progress, said[2], said[1])
    end
end
for _, said in ipairs(cmsgpack.unpack(ARGV[3])) do
    local job = held(said[4], said[5], said[6])
    if job then
        local first, last = 1, 0
        local told = redis.call('HGET', k_logs, job.seq)
        if told then
            first, last = struct.unpack('>dd', told)
        end
        last = last + 1
        redis.call('HSET', k_logs, field_of(job.seq, last), cmsgpack.pack({said[1], said[5], said[2], said[3]}))
        while last - first >= keep do
            redis.call('HDEL', k_logs, field_of(job.seq, first))
            first = first + 1
        end
        redis.call('HSET', k_logs, job.seq, struct.pack('>dd', first, last))
        if not has(job.flags, LOGS) then
            job.flags = job.flags + LOGS
            redis.call('HSET', k_live, job.seq, pack_live(job))
        end
    end
end
