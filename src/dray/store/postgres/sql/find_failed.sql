-- find.sql for what failed or was cancelled, by the index of those.
select d.seq, d.id, d.task, l.queue, l.executor, l.rank, d.due, d.state, d.claim, d.attempt, d.losses, d.max_attempts, d.enqueued,
       d.args, d.node, d.started, d.finished, d.prune_after, d.expires, d.options, d.tags,
       null, d.reason, null, d.schedule, d.parent, d.progress, d.result, d.error
from dray.dray_done d join dray.dray_lane l on l.id = d.lane
where d.state = %(state)s and d.state in (6, 7) and d.seq < coalesce(%(before)s::bigint, 9223372036854775807)
  and (%(queue)s::text is null or l.queue = %(queue)s::text)
  and (%(task)s::text is null or d.task like %(task)s::text)
  and (%(schedule)s::text is null or d.schedule = %(schedule)s::text)
  and (%(tag)s::text is null or position(%(tag)s::text in d.tags) > 0)
  and (%(text)s::bytea is null or position(%(text)s::bytea in d.args) > 0
       or position(%(text)s::bytea in coalesce(d.error, '')) > 0)
order by d.seq desc limit %(n)s
