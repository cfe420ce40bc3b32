update dray.dray_job set cancel = 1, reason = %(reason)s where seq = %(seq)s and state = 2 returning node
