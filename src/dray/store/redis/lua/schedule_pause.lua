--@ use: clock schedule ring
-- Pause a schedule, or let it go on from now. ARGV: now, channels, name, when it fires next ('' pauses it). Answer: whether there is one.
local now = clock(ARGV[1])
local row = schedule_named(ARGV[3])
if not row then
    return 0
end
if ARGV[4] == '' then
    row.paused = now
    write_schedule(row)
elseif row.paused > 0 then -- else what is due and not fired yet would be lost
    row.paused, row.next, row.last = 0, tonumber(ARGV[4]), math.max(row.last, now)
    write_schedule(row)
    ring(ARGV[2], 'work')
end
return 1
