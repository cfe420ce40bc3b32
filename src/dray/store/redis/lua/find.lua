--@ keys: ids ended running due
--@ use: whole
-- Jobs that match, newest first. ARGV: msgpack of what is looked for (states, queue, task as a Lua pattern, tag, schedule, text), the
-- id before which to begin ('' is the newest), how many are wanted, how many may be looked at, whether only those that failed or were
-- cancelled. Answer: whether the end has been reached, the id that was looked at last, the jobs.
local what = cmsgpack.unpack(ARGV[1])
local source = ARGV[5] == '1' and k_ended or k_ids
local wanted, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local states
if what.states then
    states = {}
    for _, state in ipairs(what.states) do
        states[state] = true
    end
end

local function tagged(tags)
    local good, found = pcall(cjson.decode, tags)
    if good and type(found) == 'table' then
        for _, tag in ipairs(found) do
            if tag == what.tag then
                return true
            end
        end
    end
    return false
end

local function matches(job)
    if states and not states[job.state] then
        return false
    end
    if what.queue and job.queue ~= what.queue then
        return false
    end
    if what.task and not string.find(job.task, what.task) then
        return false
    end
    if what.schedule or what.tag or what.text then
        local schedule, _, tags, _, rest = struct.unpack('>Hc0I4c0I4c0Bc0', job.raw, job.tail)
        if what.schedule and schedule ~= what.schedule then
            return false
        end
        if what.tag and not tagged(tags) then
            return false
        end
        if what.text and not string.find(job.raw, what.text, rest, true) then
            local error = redis.call('HGET', k_error, job.seq)
            return error and string.find(error, what.text, 1, true) and true or false
        end
    end
    return true
end

local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local members = redis.call('ZREVRANGEBYLEX', source, from, '-', 'LIMIT', 0, most)
local answer, last = {#members < most and 1 or 0, ARGV[2]}, 0
for i, member in ipairs(members) do
    last = i
    local job = load(struct.unpack('>d', member, 17))
    if job and matches(job) then
        answer[#answer + 1] = whole(job.seq)
        if #answer - 2 >= wanted then
            break
        end
    end
end
if last > 0 then
    answer[2] = string.sub(members[last], 1, 16)
end
if last < #members then
    answer[1] = 0
end
return answer
