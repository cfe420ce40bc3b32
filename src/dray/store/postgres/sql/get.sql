select * from dray.dray_jobs where id = %(id)s
