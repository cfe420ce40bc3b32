with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now
),
m as (
    select * from unnest(%(seqs)s::bigint[], %(claims)s::int[], %(keeps)s::bigint[]) m (seq, claim, keep)
),
gone as (
    delete from dray.dray_job j using m
    where j.seq = m.seq and j.claim = m.claim and j.state = 2
    returning j.*, m.keep
)
insert into dray.dray_done
    (seq, due, enqueued, started, finished, prune_after, node, expires, lane, claim, attempt, losses, max_attempts, state, id, task,
     args, options, tags, schedule, parent, progress)
select seq, due, enqueued, started, now, now + keep, node, expires, lane, claim, attempt, losses, max_attempts, 5, id, task,
       args, options, tags, schedule, parent, progress
from gone, clock
returning seq
