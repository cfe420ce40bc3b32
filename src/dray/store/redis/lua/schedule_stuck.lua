--@ use: schedule
-- The times of a schedule cannot be understood: look at it again later. ARGV: name, when.
local row = schedule_named(ARGV[1])
if row then
    row.next = tonumber(ARGV[2])
    write_schedule(row)
end
