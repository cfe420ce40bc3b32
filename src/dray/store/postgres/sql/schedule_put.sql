insert into dray.dray_schedule as s
    (name, task, queue, executor, priority, max_attempts, spec, tz, args, options, tags, catch_up, "window", overlap, origin, last,
     next)
values
    (%(name)s, %(task)s, %(queue)s, %(executor)s, %(priority)s, %(max_attempts)s, %(spec)s, %(tz)s, %(args)s, %(options)s, %(tags)s,
     %(catch_up)s, %(window)s, %(overlap)s, %(origin)s, %(last)s, %(next)s)
on conflict (name) do update set
    task = excluded.task, queue = excluded.queue, executor = excluded.executor, priority = excluded.priority,
    max_attempts = excluded.max_attempts, args = excluded.args, options = excluded.options, tags = excluded.tags,
    catch_up = excluded.catch_up, "window" = excluded."window", overlap = excluded.overlap, origin = excluded.origin,
    next = case when s.spec = excluded.spec and s.tz = excluded.tz then s.next else excluded.next end,
    last = case when s.spec = excluded.spec and s.tz = excluded.tz then s.last else greatest(s.last, excluded.last) end,
    spec = excluded.spec, tz = excluded.tz
