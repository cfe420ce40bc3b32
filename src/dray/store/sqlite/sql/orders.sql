select seq, claim, reason from dray_job indexed by dray_job_running where state = 2 and node = :node and cancel = 1
