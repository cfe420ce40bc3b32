select seq, id, task, args, queue, executor, claim, attempt, losses, max_attempts, due, enqueued, options, tags, rank, expires,
       started, cancel, reason
from dray_job indexed by dray_job_running where state = 2 and node = :node
limit :n
