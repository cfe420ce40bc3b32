--@ keys: body ready parked running ended unfinished orders due expires prune blocked
-- Remove references to jobs whose data is gone. ARGV: which structure (1 to 10), from where (what the call before answered; '' at the
-- beginning), how many. Answer: where to go on ('' at the end), how many were removed.
local keys = {k_ready, k_parked, k_running, k_ended, k_unfinished, k_orders, k_due, k_expires, k_prune, k_blocked}
local which, from, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local key, lexical = keys[which], which <= 6
local start = tonumber(from) or 0
local members
if lexical then
    members = redis.call('ZRANGEBYLEX', key, from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, most)
else
    members = redis.call('ZRANGE', key, start, start + most - 1)
end
local gone = {}
for _, member in ipairs(members) do
    local seq = lexical and struct.unpack('>d', member, #member - 7) or member
    if redis.call('HEXISTS', k_body, seq) == 0 then
        gone[#gone + 1] = member
    end
end
if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
end
if #members < most then
    return {'', #gone}
end
return {lexical and members[#members] or tostring(start + #members - #gone), #gone}
