--@ keys: schedules ticks
-- A schedule: last, next, paused, fired (0: none), missed; its times and zone; behind that everything else, which is nothing to us.
local SCHEDULE = '>dddddHc0Hc0'

local function schedule_named(name)
    local raw = redis.call('HGET', k_schedules, name)
    if not raw then
        return nil
    end
    local row = {name = name}
    local rest
    row.last, row.next, row.paused, row.fired, row.missed, row.spec, row.zone, rest = struct.unpack(SCHEDULE, raw)
    row.said = string.sub(raw, rest)
    return row
end

local function write_schedule(row)
    local head = struct.pack(SCHEDULE, row.last, row.next, row.paused, row.fired, row.missed, #row.spec, row.spec, #row.zone, row.zone)
    redis.call('HSET', k_schedules, row.name, head .. row.said)
    if row.paused > 0 then
        redis.call('ZREM', k_ticks, row.name)
    else
        redis.call('ZADD', k_ticks, row.next, row.name)
    end
end
