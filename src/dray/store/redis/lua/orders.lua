--@ use: orders
-- Which running jobs of a node are to be cancelled. ARGV: node.
local found = {}
orders_of(tonumber(ARGV[1]), found)
return found
