--@ keys: ids
--@ use: job tally
-- Count jobs one by one. ARGV: the member of `ids` behind which to begin ('' is the first), how many. Answer: the last member ('' at
-- the end), then field and number of each counter.
local members = redis.call('ZRANGEBYLEX', k_ids, ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
    local job = load(struct.unpack('>d', member, 17))
    if job then
        count(job.queue, job.state, 1)
    end
end
local answer = {#members == tonumber(ARGV[2]) and members[#members] or ''}
for field, n in pairs(tally) do
    answer[#answer + 1] = field
    answer[#answer + 1] = n
end
return answer
