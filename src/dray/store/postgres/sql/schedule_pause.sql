update dray.dray_schedule
set paused = %(paused)s::bigint, next = coalesce(%(next)s::bigint, next), last = greatest(last, coalesce(%(last)s::bigint, last))
where name = %(name)s
returning name
