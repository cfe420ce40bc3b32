with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now
),
m as (
    select * from unnest(
        %(seqs)s::bigint[], %(claims)s::int[], %(states)s::smallint[], %(keeps)s::bigint[], %(backs)s::int[], %(losts)s::int[],
        %(reasons)s::text[], %(results)s::bytea[], %(errors)s::bytea[]
    ) m (seq, claim, to_state, keep, back, lost, why, result, what)
),
gone as (
    delete from dray.dray_job j using m
    where j.seq = m.seq and j.claim = m.claim and j.state = 2
    returning j.*, m.to_state, m.keep, m.back, m.lost, m.why, m.result, m.what
)
insert into dray.dray_done
    (seq, due, enqueued, started, finished, prune_after, node, expires, lane, claim, attempt, losses, max_attempts, state, id, task,
     args, options, tags, schedule, parent, reason, progress, result, error)
select seq, due, enqueued, started, now, now + keep, node, expires, lane, claim, attempt - back, losses + lost, max_attempts,
       to_state, id, task, args, options, tags, schedule, parent,
       case to_state when 5 then null else coalesce(why, reason) end, progress, result,
       case to_state when 5 then null else coalesce(what, error) end
from gone, clock
returning seq
