select seq, queue, state from dray_job indexed by dray_job_expires
where expires is not null and state in (0, 1, 8) and expires <= :now
order by expires limit :n
