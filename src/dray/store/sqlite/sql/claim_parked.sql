update dray_job
set state = 2, node = :node, claim = claim + 1, attempt = attempt + 1, started = :now, hold = null
from (
    select seq as chosen from dray_job indexed by dray_job_parked
    where state = 8 and hold = :hold and queue = :queue and executor = :executor
    order by rank, due, seq
    limit :n
)
where seq = chosen
returning seq, id, task, args, queue, executor, claim, attempt, losses, max_attempts, due, enqueued, options, tags, rank,
          expires, started
