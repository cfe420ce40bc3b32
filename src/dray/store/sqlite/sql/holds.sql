-- What parked jobs wait for and where, by hopping over the index from one (hold, queue, executor) to the next.
with recursive lane (seq) as (
    select * from (
        select seq from dray_job indexed by dray_job_parked where state = 8 order by hold, queue, executor limit 1
    )
    union all
    select (
        select there.seq from dray_job there indexed by dray_job_parked
        where there.state = 8 and (there.hold, there.queue, there.executor) > (here.hold, here.queue, here.executor)
        order by there.hold, there.queue, there.executor limit 1
    )
    from lane join dray_job here on here.seq = lane.seq
)
select hold, queue, executor from lane join dray_job using (seq)
