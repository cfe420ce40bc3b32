update dray.dray_job set progress = %s where seq = %s and claim = %s and state = 2
