delete from dray_log where seq = ?
