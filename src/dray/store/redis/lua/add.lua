--@ keys: meta ids body live expires unfinished due ready
--@ use: clock states tally ring numbers
-- New jobs. One whose id is kept already is left as it is, so that the same may be sent again.
-- ARGV: now, channels, number, claim and start of the run that enqueues them ('' is none); for each job: at (-1: none), delay, expires_at (0),
-- expires_in (0), then its body from the executor on. Answer: how many were new (-1: that run has lost its claim), how many sleepers
-- were woken.
local now = clock(ARGV[1])
if ARGV[3] ~= '' then
    local seq, claim, began = struct.unpack('>ddd', ARGV[3])
    local told = redis.call('HGET', k_live, seq)
    local state, _, current, _, _, _, started = struct.unpack(LIVE, told or string.rep('\0', 54))
    if state ~= RUNNING or current ~= claim or (began > 0 and began ~= started) then
        return {-1, 0}
    end
end
local n = #ARGV
if n == 3 then
    return {0, 0}
end
local seq = numbers('seq', n - 3, now, 1)
local seen, names, bodies, ready, due, expires, unfinished = {}, {}, {}, {}, {}, {}, {}
local awake = false
for i = 4, n do
    local told = ARGV[i]
    local at, delay, expires_at, expires_in, executor, rank, _, queue, task, id, tail = struct.unpack('>ddddBbI4Hc0Hc0c16', told)
    if not seen[id] and #redis.call('ZRANGEBYLEX', k_ids, '[' .. id, '[' .. id .. '\255', 'LIMIT', 0, 1) == 0 then
        seen[id] = true
        seq = seq + 1
        local when = at >= 0 and at or now + delay
        if expires_at == 0 and expires_in > 0 then
            expires_at = now + expires_in
        end
        local sign = struct.pack('>d', seq)
        names[#names + 1] = 0
        names[#names + 1] = id .. sign
        bodies[#bodies + 1] = seq
        bodies[#bodies + 1] = struct.pack('>ddd', when, now, expires_at) .. string.sub(told, 33)
        if when > now then
            due[#due + 1] = when
            due[#due + 1] = seq
            count(queue, SCHEDULED, 1)
        else
            ready[#ready + 1] = 0
            ready[#ready + 1] = struct.pack('>B', executor) .. queue .. '\0' .. struct.pack('>Bd', rank + 128, when) .. sign
            count(queue, READY, 1)
        end
        if expires_at > 0 then
            expires[#expires + 1] = expires_at
            expires[#expires + 1] = seq
        end
        local schedule = struct.unpack('>Hc0', told, tail)
        if schedule ~= '' then
            unfinished[#unfinished + 1] = 0
            unfinished[#unfinished + 1] = schedule .. '\0' .. sign
        end
    end
end
if #names == 0 then
    return {0, 0}
end
redis.call('ZADD', k_ids, unpack(names))
redis.call('HSET', k_body, unpack(bodies))
for key, members in pairs({[k_ready] = ready, [k_due] = due, [k_expires] = expires, [k_unfinished] = unfinished}) do
    if #members > 0 then
        redis.call('ZADD', key, unpack(members))
    end
end
write_tally()
return {#names / 2, ring(ARGV[2], 'work')}
