--@ use: find whole
-- One job. ARGV: id.
local seq = seq_of(ARGV[1])
return seq and whole(seq) or false
