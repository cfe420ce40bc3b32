-- Newest first, from what is not final and from what is.
(
    select j.seq, j.id, j.task, l.queue, l.executor, l.rank, j.due, j.state, j.claim, j.attempt, j.losses, j.max_attempts, j.enqueued,
           j.args, j.node, j.started, null::bigint as finished, null::bigint as prune_after, j.expires, j.options, j.tags,
           nullif(l.hold, '') as hold, j.reason, j.cancel, j.schedule, j.parent, j.progress, null::bytea as result, j.error
    from dray.dray_job j join dray.dray_lane l on l.id = abs(j.lane)
    where %(open)s::boolean and j.seq < coalesce(%(before)s::bigint, 9223372036854775807)
      and (%(states)s::int[] is null or j.state = any (%(states)s::int[]))
      and (%(queue)s::text is null or l.queue = %(queue)s::text)
      and (%(task)s::text is null or j.task like %(task)s::text)
      and (%(schedule)s::text is null or j.schedule = %(schedule)s::text)
      and (%(tag)s::text is null or position(%(tag)s::text in j.tags) > 0)
      and (%(text)s::bytea is null or position(%(text)s::bytea in j.args) > 0
           or position(%(text)s::bytea in coalesce(j.error, '')) > 0)
    order by j.seq desc limit %(n)s
)
union all
(
    select d.seq, d.id, d.task, l.queue, l.executor, l.rank, d.due, d.state, d.claim, d.attempt, d.losses, d.max_attempts, d.enqueued,
           d.args, d.node, d.started, d.finished, d.prune_after, d.expires, d.options, d.tags,
           null, d.reason, null, d.schedule, d.parent, d.progress, d.result, d.error
    from dray.dray_done d join dray.dray_lane l on l.id = d.lane
    where %(final)s::boolean and d.seq < coalesce(%(before)s::bigint, 9223372036854775807)
      and (%(states)s::int[] is null or d.state = any (%(states)s::int[]))
      and (%(queue)s::text is null or l.queue = %(queue)s::text)
      and (%(task)s::text is null or d.task like %(task)s::text)
      and (%(schedule)s::text is null or d.schedule = %(schedule)s::text)
      and (%(tag)s::text is null or position(%(tag)s::text in d.tags) > 0)
      and (%(text)s::bytea is null or position(%(text)s::bytea in d.args) > 0
           or position(%(text)s::bytea in coalesce(d.error, '')) > 0)
    order by d.seq desc limit %(n)s
)
order by 1 desc limit %(n)s
