update dray_job set state = 5, finished = ?, prune_after = ?, result = ? where seq = ? and claim = ? and state = 2
