--@ keys: running prune result reason error unfinished orders
--@ use: clock job place tally ring
-- Write that runs came to a good end. ARGV: now, channels, 1 if the same may have been written already, then for each its number,
-- claim, start, microseconds to be kept, queue and result. Answer: the numbers of those whose claim was stale.
local now, again = clock(ARGV[1]), ARGV[3] == '1'
local moves, seqs = {}, {}
for i = 4, #ARGV do
    local seq, claim, began, keep, queue, rest = struct.unpack('>ddddHc0', ARGV[i])
    moves[i - 3] = {claim, keep, queue, string.sub(ARGV[i], rest), began}
    seqs[i - 3] = seq
end
local told = redis.call('HMGET', k_live, unpack(seqs))
local stale, lives, holds, prune, results, old, written = {}, {}, {}, {}, {}, {}, {}
for i, seq in ipairs(seqs) do
    local claim, keep, queue, result, began = unpack(moves[i])
    local state, flags, current, attempt, losses, node, started, due = -1
    if told[i] and not written[seq] then
        state, flags, current, attempt, losses, node, started, due = struct.unpack(LIVE, told[i])
    end
    if state == RUNNING and current == claim and (began == 0 or began == started) then
        written[seq] = true
        count(queue, RUNNING, -1)
        count(queue, SUCCEEDED, 1)
        holds[#holds + 1] = held_member(node, seq)
        if has(flags, CANCEL) then
            flags = flags - CANCEL
            redis.call('ZREM', k_orders, holds[#holds])
        end
        if has(flags, OF_SCHEDULE) then
            redis.call('ZREM', k_unfinished, schedule_member(load(seq)))
        end
        lives[#lives + 1] = seq
        lives[#lives + 1] = struct.pack(LIVE, SUCCEEDED, flags, claim, attempt, losses, node, started, due, now, now + keep)
        prune[#prune + 1] = now + keep
        prune[#prune + 1] = seq
        if result ~= '' then
            results[#results + 1] = seq
            results[#results + 1] = result
        end
        if claim > 1 or attempt > 1 or has(flags, HISTORY) then
            old[#old + 1] = seq
        end
    elseif not (again and state == SUCCEEDED and current == claim) then
        stale[#stale + 1] = seq
    end
end
if #lives > 0 then
    redis.call('ZREM', k_running, unpack(holds)) -- first, as it needs no memory: see lib/full
    redis.call('HSET', k_live, unpack(lives))
    redis.call('ZADD', k_prune, unpack(prune))
    if #results > 0 then
        redis.call('HSET', k_result, unpack(results))
    end
    if #old > 0 then
        redis.call('HDEL', k_error, unpack(old))
        redis.call('HDEL', k_reason, unpack(old))
    end
    write_tally()
    ring(ARGV[2], 'done')
end
return stale
