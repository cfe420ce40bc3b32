--@ keys: audit
--@ use: clock
-- Forget who did what long ago. ARGV: now, how many are kept, microseconds that they are kept, how many at most. Answer: how many.
local old = clock(ARGV[1]) - tonumber(ARGV[3])
local over = redis.call('ZCARD', k_audit) - tonumber(ARGV[2])
local gone = {}
for i, member in ipairs(redis.call('ZRANGE', k_audit, 0, tonumber(ARGV[4]) - 1)) do
    if i <= over or struct.unpack('>d', member, 9) < old then
        gone[#gone + 1] = member
    end
end
if #gone > 0 then
    redis.call('ZREM', k_audit, unpack(gone))
end
return #gone
