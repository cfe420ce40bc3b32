delete from dray_job where seq = ?
