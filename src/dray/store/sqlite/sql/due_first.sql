select min(due) from dray_job indexed by dray_job_due where state = 0
