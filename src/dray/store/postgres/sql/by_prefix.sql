select id from dray.dray_jobs where id between %(low)s and %(high)s order by id limit %(n)s
