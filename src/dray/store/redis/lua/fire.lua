--@ keys: meta ids
--@ use: clock schedule move ring numbers
-- Fire a schedule, once for each of its times whoever asks. ARGV: now, channels, microseconds to keep what is cancelled, and its reason,
-- name, the `last` that was seen, the new `last`, `next`, `fired` (0: as it was), how many were missed, overlap, then for each time the
-- time and the body of its job from the executor on. Answer: the times that were fired; none if somebody else was faster.
local now, usual = clock(ARGV[1]), tonumber(ARGV[3])
local row = schedule_named(ARGV[5])
if not row or row.paused > 0 or row.last ~= tonumber(ARGV[6]) then
    return {}
end
row.last, row.next, row.missed = tonumber(ARGV[7]), tonumber(ARGV[8]), row.missed + tonumber(ARGV[10])
if ARGV[9] ~= '0' then
    row.fired = tonumber(ARGV[9])
end
write_schedule(row)
local overlap = ARGV[11]

local function unfinished()
    local found = {}
    local members = redis.call('ZRANGEBYLEX', k_unfinished, '[' .. row.name .. '\0', '(' .. row.name .. '\1', 'LIMIT', 0, 100)
    for _, member in ipairs(members) do
        found[#found + 1] = load(struct.unpack('>d', member, #member - 7))
    end
    return found
end

local function add(at, told, state)
    local seq = numbers('seq', 1, now, 1) + 1
    local raw = struct.pack('>ddd', at, now, 0) .. told
    local job = read(seq, raw, false)
    job.state = state or (at <= now and READY or SCHEDULED)
    redis.call('ZADD', k_ids, 0, ended_member(job))
    redis.call('HSET', k_body, seq, raw)
    if state then
        redis.call('HSET', k_live, seq, pack_live(job))
        redis.call('HSET', k_hold, seq, 'schedule:' .. row.name)
    end
    count(job.queue, job.state, 1)
    place(job)
end

local fired = {}
for i = 12, #ARGV, 2 do
    local at, told = tonumber(ARGV[i]), ARGV[i + 1]
    local others = overlap == 'allow' and {} or unfinished()
    local wait, skip = false, false
    if #others > 0 and overlap == 'queue' then
        wait, skip = true, #others > 1
        for _, job in ipairs(others) do
            skip = skip or job.state == BLOCKED
        end
    elseif #others > 0 and overlap == 'cancel' then
        for _, job in ipairs(others) do
            if job.state == RUNNING then
                ask_to_cancel(job, ARGV[4])
            else
                cancel_waiting(job, now, ARGV[4], usual)
            end
        end
    elseif #others > 0 then
        skip = true
    end
    if not skip then
        add(at, told, wait and BLOCKED or nil)
        fired[#fired + 1] = at
    end
end
write_tally()
for _, kind in ipairs({'work', 'done', 'orders'}) do
    ring(ARGV[2], kind)
end
return fired
