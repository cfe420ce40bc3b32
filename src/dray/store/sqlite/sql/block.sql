update dray_job set state = 3, hold = :hold where id = :id and state in (0, 1) returning queue
