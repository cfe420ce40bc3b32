-- All jobs, the newest first.
select seq, id, state from dray_job
where seq < :before and seq > :floor and state <> 9 /* and */
order by seq desc limit :n
