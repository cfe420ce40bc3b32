--@ use: clock dead
-- Who is dead. ARGV: now, steady ('' is now), boot. Answer: the nodes whose lease has run out, each with what is known of it, and
-- those who run something and are not known.
local steady = ARGV[2] == '' and clock(ARGV[1]) or tonumber(ARGV[2])
local dead = {}
for _, id in ipairs(expired_nodes(steady, ARGV[3])) do
    local node = node_of(id)
    dead[#dead + 1] = tonumber(id)
    dead[#dead + 1] = node and node.said or ''
end
return {dead, orphaned_nodes(100)}
