update dray_job set state = 7, finished = :now, prune_after = :prune_after, reason = :reason, hold = null
where seq = :seq and state = :state
returning queue
