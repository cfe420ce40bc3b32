insert into dray_job
    (id, task, queue, executor, rank, due, state, max_attempts, enqueued, args, expires, options, tags, schedule, parent)
values
    (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do nothing
