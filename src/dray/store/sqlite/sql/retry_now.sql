update dray_job set state = 1, due = :now where seq = :seq and state = 0 returning queue
