select queue, executor, rank, hold from dray.dray_lane where id = %(lane)s
