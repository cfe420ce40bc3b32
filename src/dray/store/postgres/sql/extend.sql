-- A lease that has run out is renewed as long as nobody has acted on it: a rescue deletes the row, in the same transaction in which
-- it gives the jobs to others. With the answer come the running jobs that are to be cancelled.
with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now,
           %(steady)s::bigint as steady
),
alive as (
    update dray.dray_node n
    set until = coalesce(c.steady, c.now) + %(lease)s::bigint, renewed = c.now,
        claimed = greatest(coalesce(n.claimed, 0), c.now - m.age)
    from clock c, unnest(%(nodes)s::bigint[], %(ages)s::bigint[]) m (id, age)
    where n.id = m.id and n.boot = %(boot)s
    returning n.id
)
select a.id, j.seq, j.claim, j.reason
from alive a
left join dray.dray_job j on j.cancel is not null and j.state = 2 and j.node = a.id
