--@ keys: ids
--@ use: place
-- What check.lua would mend, counted only. ARGV: the member of `ids` behind which to begin ('' is the first), how many. Answer: the last
-- member ('' at the end), how many jobs are not in their place, how many ids have no data, how many jobs there are altogether, how many
-- bodies, and how many places are taken.
local function missing(key, member)
    return redis.call('ZSCORE', key, member) and 0 or 1
end

local function misplaced(job)
    local state = job.state
    if state == READY then
        return missing(k_ready, ready_member(job))
    elseif state == SCHEDULED then
        return missing(k_due, job.seq)
    elseif state == PARKED then
        return missing(k_parked, parked_member(job))
    elseif state == RUNNING then
        return missing(k_running, held_member(job.node, job.seq))
    elseif state == BLOCKED then
        return missing(k_blocked, job.seq)
    elseif state >= SUCCEEDED then
        return missing(k_prune, job.seq)
    end
    return 0
end

local members = redis.call('ZRANGEBYLEX', k_ids, ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local astray, empty = 0, 0
for _, member in ipairs(members) do
    local job = load(struct.unpack('>d', member, 17))
    if job then
        astray = astray + misplaced(job)
    else
        empty = empty + 1
    end
end
local taken = 0
for _, key in ipairs({k_ready, k_due, k_parked, k_running, k_blocked, k_prune}) do
    taken = taken + redis.call('ZCARD', key)
end
local last = #members == tonumber(ARGV[2]) and members[#members] or ''
return {last, astray, empty, redis.call('ZCARD', k_ids), redis.call('HLEN', k_body), taken}
