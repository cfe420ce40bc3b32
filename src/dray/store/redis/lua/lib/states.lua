-- How a job is written down.
local SCHEDULED, READY, RUNNING, BLOCKED, SLEEPING, SUCCEEDED, FAILED, CANCELLED, PARKED = 0, 1, 2, 3, 4, 5, 6, 7, 8
local CANCEL, OF_SCHEDULE, EXPIRES, HISTORY, LOGS = 1, 2, 4, 8, 16 -- bits of `flags`
local LIVE = '>BBI4I4I4ddddd' -- state, flags, claim, attempt, losses, node, started, due, finished, prune_after; 0 is none
local HEAD = '>dddBbI4Hc0Hc0c16' -- due, enqueued, expires, executor, rank, max_attempts, queue, task, id

-- The field for something of a job that has a number too. (Put together by `..` a number has 14 digits only.)
local function field_of(seq, n)
    return string.format('%.0f:%.0f', seq, n)
end
