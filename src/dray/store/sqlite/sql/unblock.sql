update dray_job set state = 1, hold = null, due = :now where seq = :seq and state = 3 returning seq
