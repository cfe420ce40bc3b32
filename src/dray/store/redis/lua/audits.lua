--@ keys: audit
-- Who did what, newest first. ARGV: the number below which to begin ('' is the newest), how many.
local from = ARGV[1] == '' and '+' or '(' .. struct.pack('>d', ARGV[1])
return redis.call('ZREVRANGEBYLEX', k_audit, from, '-', 'LIMIT', 0, ARGV[2])
