-- What parked jobs wait for, by hopping over the index from one reason to the next.
with recursive parked (hold) as (
    select min(hold) from dray_job indexed by dray_job_parked where state = 8
    union all
    select (select min(hold) from dray_job indexed by dray_job_parked where state = 8 and hold > parked.hold)
    from parked where parked.hold is not null
)
select hold from parked where hold is not null
