insert into dray_schedule
    (name, task, queue, executor, priority, max_attempts, spec, tz, args, options, tags, catch_up, window, overlap, origin, last, next)
values
    (:name, :task, :queue, :executor, :priority, :max_attempts, :spec, :tz, :args, :options, :tags, :catch_up, :window, :overlap,
     :origin, :last, :next)
on conflict (name) do update set
    task = excluded.task, queue = excluded.queue, executor = excluded.executor, priority = excluded.priority,
    max_attempts = excluded.max_attempts, args = excluded.args, options = excluded.options, tags = excluded.tags,
    catch_up = excluded.catch_up, window = excluded.window, overlap = excluded.overlap, origin = excluded.origin,
    next = case when dray_schedule.spec = excluded.spec and dray_schedule.tz = excluded.tz then dray_schedule.next
                else excluded.next end,
    last = case when dray_schedule.spec = excluded.spec and dray_schedule.tz = excluded.tz then dray_schedule.last
                else max(dray_schedule.last, excluded.last) end,
    spec = excluded.spec, tz = excluded.tz
