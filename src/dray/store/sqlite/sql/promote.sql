update dray_job set state = 1
where seq in (select seq from dray_job indexed by dray_job_due where state = 0 and due <= :now order by due limit :n)
returning queue
