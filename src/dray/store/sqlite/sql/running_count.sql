select node, count(*) from dray_job indexed by dray_job_running where state = 2 group by node
