delete from dray_log where seq = ? and line <= (select max(line) from dray_log where seq = ?) - ?
