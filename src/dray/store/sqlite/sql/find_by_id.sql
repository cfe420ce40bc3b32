select seq from dray_job indexed by dray_job_id where id between :low and :high and state <> 9 limit :n
