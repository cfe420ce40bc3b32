insert into dray.dray_tally (queue, state, n)
select * from unnest(%(queues)s::text[], %(states)s::smallint[], %(ns)s::bigint[])
