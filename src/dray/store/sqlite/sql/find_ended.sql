-- What failed or was cancelled, the newest first.
select seq, id, state from dray_job indexed by dray_job_ended
where :failed and state = 6 and state in (6, 7) and seq < :before and seq > :floor /* and */
union all
select seq, id, state from dray_job indexed by dray_job_ended
where :cancelled and state = 7 and state in (6, 7) and seq < :before and seq > :floor /* and */
order by seq desc limit :n
