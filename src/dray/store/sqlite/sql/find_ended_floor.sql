select seq from dray_job indexed by dray_job_ended where :failed and state = 6 and state in (6, 7) and seq < :before
union all
select seq from dray_job indexed by dray_job_ended where :cancelled and state = 7 and state in (6, 7) and seq < :before
order by seq desc limit 1 offset :most
