select seq, schedule, queue from dray_job indexed by dray_job_schedule
where schedule is not null and state in (0, 1, 2, 3, 4, 8) and state = 3
