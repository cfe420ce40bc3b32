--@ keys: logs
--@ use: find states
-- What the runs of a job logged. ARGV: id, the line after which to begin, how many. Answer: number and record of each.
local seq = seq_of(ARGV[1])
local told = seq and redis.call('HGET', k_logs, seq)
local answer = {}
if told then
    local first, last = struct.unpack('>dd', told)
    first = math.max(first, tonumber(ARGV[2]) + 1)
    for line = first, math.min(last, first + tonumber(ARGV[3]) - 1) do
        local record = redis.call('HGET', k_logs, field_of(seq, line))
        if record then
            answer[#answer + 1] = line
            answer[#answer + 1] = record
        end
    end
end
return answer
