select seq, id, state from dray_job indexed by dray_job_schedule
where schedule = :name and state in (0, 1, 2, 3, 4, 8) limit 100
