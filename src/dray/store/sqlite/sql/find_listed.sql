-- The newest of some states, from nothing but their indexes.
select seq from dray_job indexed by dray_job_ready where :ready and state = 1 and seq < :before
union all
select seq from dray_job indexed by dray_job_parked where :ready and state = 8 and seq < :before
union all
select seq from dray_job indexed by dray_job_due where :scheduled and state = 0 and seq < :before
union all
select seq from dray_job indexed by dray_job_running where :running and state = 2 and seq < :before
union all
select seq from dray_job indexed by dray_job_aside where :blocked and state = 3 and state in (3, 4) and seq < :before
union all
select seq from dray_job indexed by dray_job_aside where :sleeping and state = 4 and state in (3, 4) and seq < :before
union all
select seq from dray_job indexed by dray_job_ended where :failed and state = 6 and state in (6, 7) and seq < :before
union all
select seq from dray_job indexed by dray_job_ended where :cancelled and state = 7 and state in (6, 7) and seq < :before
order by seq desc limit :most
