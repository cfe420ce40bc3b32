--@ keys: ids
-- Ids between two. ARGV: low, high, how many at most.
local found = redis.call('ZRANGEBYLEX', k_ids, '[' .. ARGV[1], '[' .. ARGV[2] .. '\255', 'LIMIT', 0, ARGV[3])
for i, member in ipairs(found) do
    found[i] = string.sub(member, 1, 16)
end
return found
