update dray.dray_schedule
set last = %(last)s, next = %(next)s, fired = coalesce(%(fired)s::bigint, fired), missed = missed + %(missed)s
where name = %(name)s and last = %(seen)s
returning name
