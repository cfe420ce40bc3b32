--@ use: clock schedule ring
-- Add a schedule or change it. One that only changes in other things than its times keeps its place in time. ARGV: now, channels, name,
-- times, zone, when it fires next, everything else.
local now = clock(ARGV[1])
local row = schedule_named(ARGV[3])
if not row then
    row = {name = ARGV[3], last = now, next = tonumber(ARGV[6]), paused = 0, fired = 0, missed = 0}
elseif row.spec ~= ARGV[4] or row.zone ~= ARGV[5] then
    row.next, row.last = tonumber(ARGV[6]), math.max(row.last, now)
end
row.spec, row.zone, row.said = ARGV[4], ARGV[5], ARGV[7]
write_schedule(row)
ring(ARGV[2], 'work')
