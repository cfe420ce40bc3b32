-- By hopping over the index from one priority to the next: the first job of each is the oldest there.
with recursive kind (executor) as (values (0), (1), (2)),
lane (executor, rank) as (
    select executor, (
        select min(rank) from dray_job indexed by dray_job_ready
        where state = 1 and queue = :queue and executor = kind.executor
    ) from kind
    union all
    select executor, (
        select min(rank) from dray_job indexed by dray_job_ready
        where state = 1 and queue = :queue and executor = lane.executor and rank > lane.rank
    ) from lane where rank is not null
)
select min((
    select min(due) from dray_job indexed by dray_job_ready
    where state = 1 and queue = :queue and executor = lane.executor and rank = lane.rank
)) from lane where rank is not null
