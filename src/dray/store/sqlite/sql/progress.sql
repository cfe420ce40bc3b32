update dray_job set progress = ? where seq = ? and claim = ? and state = 2
