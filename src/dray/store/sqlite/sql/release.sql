update dray_job set state = 1, node = null, attempt = attempt - 1, started = null
where seq = ? and claim = ? and state = 2 and cancel is null
