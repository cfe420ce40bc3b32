--@ use: nodes
-- Show that a node takes no more jobs. ARGV: node.
local node = node_of(ARGV[1])
if node then
    node.stopping = 1
    write_node(node)
end
