update dray_job set state = 5, finished = ?, prune_after = ?, result = ?, reason = null, error = null, cancel = null
where seq = ? and claim = ? and state = 2
