with wanted (number) as materialized (select value from json_each(:seqs))
select seq, id, task, queue, executor, rank, due, state, claim, attempt, losses, max_attempts, enqueued, args, node, started,
       finished, prune_after, expires, options, tags, hold, reason, cancel, schedule, parent, progress, result, error
from wanted cross join dray_job on seq = number
