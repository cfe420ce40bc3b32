select min(due) from dray_job indexed by dray_job_ready where state = 1 and queue = :queue
