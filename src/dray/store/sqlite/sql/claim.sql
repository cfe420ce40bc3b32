-- A job is found by its number (`update … from`), not by `seq in (…)`: with statistics from a day when the table was all but empty
-- SQLite would rather walk over the whole table.
update dray_job
set state = 2, node = :node, claim = claim + 1, attempt = attempt + 1, started = :now
from (
    select seq as chosen from dray_job indexed by dray_job_ready
    where state = 1 and queue = :queue and executor = :executor
    order by rank, due, seq
    limit :n
)
where seq = chosen
returning seq, id, task, args, queue, executor, claim, attempt, losses, max_attempts, due, enqueued, options, tags, rank,
          expires, started
