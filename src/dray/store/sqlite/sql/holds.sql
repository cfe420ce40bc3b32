-- What parked jobs wait for, in which queues and for which slots: by hopping over the index from one to the next.
with recursive parked (hold) as (
    select min(hold) from dray_job indexed by dray_job_parked where state = 8
    union all
    select (select min(hold) from dray_job indexed by dray_job_parked where state = 8 and hold > parked.hold)
    from parked where parked.hold is not null
),
lane (hold, queue) as (
    select hold, (select min(queue) from dray_job indexed by dray_job_parked where state = 8 and hold = parked.hold)
    from parked where parked.hold is not null
    union all
    select hold, (
        select min(queue) from dray_job indexed by dray_job_parked
        where state = 8 and hold = lane.hold and queue > lane.queue
    ) from lane where lane.queue is not null
),
kind (executor) as (values (0), (1), (2))
select hold, queue, executor from lane cross join kind
where queue is not null and exists (
    select 1 from dray_job indexed by dray_job_parked
    where state = 8 and hold = lane.hold and queue = lane.queue and executor = kind.executor
)
