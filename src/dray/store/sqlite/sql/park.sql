update dray_job set state = 8, hold = ?, node = null, attempt = attempt - 1, started = null where seq = ? and claim = ? and state = 2
