--@ keys: expires prune blocked ticks
--@ use: clock dead
-- What there is for maintenance to do. ARGV: now, steady ('' is now), boot. Answer: whether there are dead nodes, expired jobs, jobs to
-- be forgotten, blocked ones; when the next schedule fires (-1), now.
local now = clock(ARGV[1])
local steady = ARGV[2] == '' and now or tonumber(ARGV[2])

local function past(key)
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return first[2] and tonumber(first[2]) <= now and 1 or 0
end

local tick = redis.call('ZRANGE', k_ticks, 0, 0, 'WITHSCORES')
local dead = #expired_nodes(steady, ARGV[3]) > 0 or #orphaned_nodes(1) > 0
return {
    dead and 1 or 0, past(k_expires), past(k_prune), redis.call('EXISTS', k_blocked), tick[2] and tonumber(tick[2]) or -1, now
}
