with gone as (
    delete from dray.dray_job where seq = %(seq)s and state = %(state)s returning *
)
insert into dray.dray_done
    (seq, due, enqueued, started, finished, prune_after, node, expires, lane, claim, attempt, losses, max_attempts, state, id, task,
     args, options, tags, schedule, parent, reason, progress, error)
select seq, due, enqueued, started, %(now)s, %(now)s + %(keep)s::bigint, node, expires, %(lane)s::int, claim, attempt, losses,
       max_attempts, 7, id, task, args, options, tags, schedule, parent, %(reason)s, progress, error
from gone
returning seq
