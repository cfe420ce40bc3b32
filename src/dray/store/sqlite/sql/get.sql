select seq, id, task, queue, executor, rank, due, state, claim, attempt, losses, max_attempts, enqueued, args, node, started,
       finished, prune_after, expires, options, tags, hold, reason, cancel, schedule, parent, progress, result, error
from dray_job where id = :id and state <> 9
