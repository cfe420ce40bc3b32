--@ keys: ids
--@ use: place forget
-- Look whether jobs stand where they should: each state has its place, and each id its data. ARGV: the member of `ids` behind which to
-- begin ('' is the first), how many. Answer: the last member ('' at the end), how many were not in their place and are again, how many
-- had an id and no data.
local members = redis.call('ZRANGEBYLEX', k_ids, ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local mended, empty = 0, 0
for _, member in ipairs(members) do
    local job = load(struct.unpack('>d', member, 17))
    if not job then
        redis.call('ZREM', k_ids, member)
        empty = empty + 1
    elseif place(job) > 0 then
        mended = mended + 1
    end
end
return {#members == tonumber(ARGV[2]) and members[#members] or '', mended, empty}
