update dray.dray_job
set args = coalesce(%(args)s::bytea, args), lane = coalesce(%(lane)s::int, lane),
    max_attempts = coalesce(%(max_attempts)s::int, max_attempts)
where seq = %(seq)s and state in (0, 1, 8)
returning lane, due
