-- The queues that have ready jobs, by hopping over the index from one name to the next.
with recursive lane (queue) as (
    select min(queue) from dray_job indexed by dray_job_ready where state = 1
    union all
    select (select min(queue) from dray_job indexed by dray_job_ready where state = 1 and queue > lane.queue)
    from lane where lane.queue is not null
)
select queue from lane where queue is not null
