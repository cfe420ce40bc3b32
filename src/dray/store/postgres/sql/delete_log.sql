delete from dray.dray_log where seq = %(seq)s
