select id from dray.dray_lane where queue = %(queue)s and executor = %(executor)s and rank = %(rank)s and hold = %(hold)s
