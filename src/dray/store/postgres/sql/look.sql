-- survey.sql without any lock; and for each lane whether it has jobs.
select n.now, 0::bigint, n.later, l.id, l.queue, l.executor, l.rank, l.hold, l.turns, l.low,
       exists (select from dray.dray_queue q where q.name = l.queue and q.paused is not null) as paused,
       exists (
           select from dray.dray_job j where j.lane = l.id and (j.due, j.seq) >= (coalesce(k.low, 0), coalesce(k.after, 0)) and j.state in (1, 8)
       ) as busy
from (
    select t.now, (select later from dray.dray_job where later >= %(low)s order by later limit 1) as later
    from (select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now) t
) n
left join dray.dray_lane l on true
left join unnest(%(lanes)s::int[], %(lows)s::bigint[], %(afters)s::bigint[]) as k (lane, low, after) on k.lane = l.id
