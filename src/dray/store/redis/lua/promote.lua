--@ use: clock promote ring
-- Make ready what has become due. ARGV: now, channels, how many at most. Answer: how many.
local n = promote(clock(ARGV[1]), tonumber(ARGV[3]))
write_tally()
if n > 0 then
    ring(ARGV[2], 'work')
end
return n
