update dray.dray_job set state = 1, due = %(now)s, later = null, lane = abs(lane) where seq = %(seq)s and state = 0 returning lane
