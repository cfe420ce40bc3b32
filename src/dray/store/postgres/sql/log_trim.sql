delete from dray.dray_log where seq = %s and line <= (select max(line) from dray.dray_log where seq = %s) - %s
