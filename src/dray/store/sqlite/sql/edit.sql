update dray_job set args = coalesce(:args, args), rank = coalesce(:rank, rank), queue = coalesce(:queue, queue),
    due = coalesce(:due, due), tags = coalesce(:tags, tags), max_attempts = coalesce(:max_attempts, max_attempts)
where seq = :seq and state in (0, 1, 8) returning queue
