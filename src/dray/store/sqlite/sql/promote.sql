update dray_job set state = 1
from (select seq as chosen from dray_job indexed by dray_job_due where state = 0 and due <= :now order by due limit :n)
where seq = chosen
returning queue
