update dray.dray_job set state = 3, lane = %(lane)s, later = null where id = %(id)s and state in (0, 1) returning seq
