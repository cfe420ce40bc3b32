update dray.dray_job set state = 1, lane = %(lane)s, due = %(now)s, later = null where seq = %(seq)s and state = 3 returning seq
