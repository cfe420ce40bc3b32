delete from dray.dray_history where seq = %(seq)s
