-- What a claim must know: the time, whether the node's lease stands, the next job that becomes due, and the lanes. The node's row is
-- locked against being deleted: a rescue that comes between waits for this claim, and then finds its jobs.
select n.now, n.until, n.later, l.id, l.queue, l.executor, l.rank, l.hold, l.turns, l.low,
       exists (select from dray.dray_queue q where q.name = l.queue and q.paused is not null) as paused
from (
    select t.now,
           (select until from dray.dray_node where id = %(node)s and boot = %(boot)s for key share) as until,
           (select later from dray.dray_job where later >= %(low)s order by later limit 1) as later
    from (select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now) t
) n
left join dray.dray_lane l on true
