update dray_job set cancel = 1, reason = :reason where seq = :seq and state = 2 returning node
