update dray_job
set state = 1, due = :now, finished = null, prune_after = null, attempt = 0, losses = 0, reason = null, cancel = null,
    result = null, error = null, progress = null, node = null, started = null, expires = null
where seq = :seq and state in (5, 6, 7)
returning queue
