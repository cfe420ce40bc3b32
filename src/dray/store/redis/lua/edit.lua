--@ keys: body
--@ use: find place
-- Change a job that waits. ARGV: id, arguments, rank, max_attempts ('' leaves it as it is). Answer: whether it still did.
local seq = seq_of(ARGV[1])
local job = seq and load(seq)
if not job or not (job.state == SCHEDULED or job.state == READY or job.state == PARKED) then
    return 0
end
unplace(job)
local _, _, _, _, args = struct.unpack('>Hc0I4c0I4c0Bc0', job.raw, job.tail)
local rank = ARGV[3] == '' and job.rank or tonumber(ARGV[3])
local most = ARGV[4] == '' and job.most or tonumber(ARGV[4])
local raw = string.sub(job.raw, 1, 25) .. struct.pack('>bI4', rank, most) .. string.sub(job.raw, 31, args - 1)
raw = raw .. (ARGV[2] == '' and string.sub(job.raw, args) or ARGV[2])
redis.call('HSET', k_body, seq, raw)
local changed = read(seq, raw, redis.call('HGET', k_live, seq))
place(changed)
return 1
