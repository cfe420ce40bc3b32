--@ use: clock
-- ARGV: now. Answer: the time in microseconds since 1970.
return clock(ARGV[1])
