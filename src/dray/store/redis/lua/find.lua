--@ keys: ids ended running due ready parked blocked error
--@ use: job sieve
-- Jobs that a sieve lets through, newest first. ARGV: the sieve (see lib/sieve.lua), by which set to go ('ids', 'ended', or 'listed':
-- all of the states that the sieve names, in no order), the id before which to begin, how many are wanted, how
-- much may be done (about a microsecond each). Answer: whether the end has been reached, the id that was looked at last, how many jobs
-- were looked at, how much was done, and of each that is let through its id, number and state.
local what = opened(ARGV[1])
local source, before, wanted, most = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local AT_ONCE, FEW = 100, 20
local answer, looked, done = {1, before, 0, 0}, 0, 0

-- Let through a job if it matches.
local function ask(seq, raw, told)
    done = done + 3 + #raw / 2000
    local job = read(seq, raw, told)
    local function error_of()
        done = done + 1
        return redis.call('HGET', k_error, seq)
    end
    if passes(what, job, error_of) then
        local n = #answer
        answer[n + 1], answer[n + 2], answer[n + 3] = job.id, seq, job.state
    end
end

-- Let through what matches of some numbers (and their members of a set, in order); false once there is enough.
local function look(seqs, members)
    local told = redis.call('HMGET', k_live, unpack(seqs))
    for from = 1, #seqs, FEW do
        local places, wished = {}, {}
        for i = from, math.min(from + FEW - 1, #seqs) do
            if may_be(what, told[i]) then
                places[#places + 1], wished[#wished + 1] = i, seqs[i]
            end
        end
        local bodies = #wished > 0 and redis.call('HMGET', k_body, unpack(wished)) or {}
        for n, i in ipairs(places) do
            if bodies[n] then
                ask(seqs[i], bodies[n], told[i])
                if members and #answer - 4 >= wanted * 3 then
                    looked, answer[2] = looked + i - from + 1, string.sub(members[i], 1, 16)
                    return false
                end
            end
        end
        local last = math.min(from + FEW - 1, #seqs)
        looked, done = looked + last - from + 1, done + last - from + 1
        if members then
            answer[2] = string.sub(members[last], 1, 16)
            if done >= most then
                return false
            end
        end
    end
    return true
end

local function numbers(members, at)
    local seqs = {}
    for i, member in ipairs(members) do
        seqs[i] = at == 0 and tonumber(member) or struct.unpack('>d', member, at > 0 and at or #member - 7)
    end
    return seqs
end

local function in_lots(seqs)
    for i = 1, #seqs, AT_ONCE do
        look({unpack(seqs, i, math.min(i + AT_ONCE - 1, #seqs))})
    end
end

if source == 'listed' then
    for state, list in pairs({[RUNNING] = {k_running, 9}, [READY] = {k_ready, -1}, [PARKED] = {k_parked, -1}, [BLOCKED] = {k_blocked, 0},
                              [SCHEDULED] = {k_due, 0}}) do
        if what.states[state] then
            in_lots(numbers(redis.call('ZRANGE', list[1], 0, -1), list[2]))
        end
    end
else
    local key = source == 'ended' and k_ended or k_ids
    while true do
        local members = redis.call('ZREVRANGEBYLEX', key, '(' .. answer[2], '-', 'LIMIT', 0, AT_ONCE)
        if #members > 0 and not look(numbers(members, 17), members) then
            answer[1] = 0
            break
        end
        if #members < AT_ONCE then
            break
        end
    end
end
answer[3], answer[4] = looked, math.ceil(done)
return answer
