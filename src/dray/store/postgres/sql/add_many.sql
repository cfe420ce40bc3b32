-- Like add_one.sql, for some more.
with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now
),
wish as (
    select j.*, now, coalesce(j.at, now + j.delay) as due, coalesce(j.expires_at, now + j.expires_in) as expires
    from clock, unnest(
        %(id)s::bytea[], %(task)s::text[], %(lane)s::int[], %(at)s::bigint[], %(delay)s::bigint[], %(max_attempts)s::int[],
        %(args)s::bytea[], %(expires_at)s::bigint[], %(expires_in)s::bigint[], %(options)s::bytea[], %(tags)s::text[],
        %(schedule)s::text[], %(parent)s::bytea[]
    ) with ordinality
        j (id, task, lane, at, delay, max_attempts, args, expires_at, expires_in, options, tags, schedule, parent, place)
),
new as (
    insert into dray.dray_job
        (id, task, lane, due, later, state, max_attempts, enqueued, args, expires, options, tags, schedule, parent)
    select id, task, case when due > now then -lane else lane end, due, case when due > now then due end,
           case when due > now then 0 else 1 end, max_attempts, now, args, expires, options, tags, schedule, parent
    from wish
    where not exists (select from dray.dray_done d where d.id = wish.id)
    order by place
    on conflict (id) do nothing
    returning lane, state
),
counted as (
    insert into dray.dray_tally (queue, state, n)
    select l.queue, new.state, count(*) from new join dray.dray_lane l on l.id = abs(new.lane) group by l.queue, new.state
)
select case when not %(ring)s::boolean then null
            when pg_try_advisory_lock(%(area)s::int, 1) then pg_advisory_unlock(%(area)s::int, 1)::text
            else pg_notify(%(channel)s::text, '')::text end
from (select from new limit 1) t
