-- One statement is one transaction and one round trip. The end of it: if somebody sleeps who waits for work of any queue (4) or
-- of this one, wake him. Who sleeps holds the shared lock; that is asked for without waiting, and without leaving a trace.
with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now
),
wish as (
    select now, coalesce(%(at)s::bigint, now + %(delay)s::bigint) as due,
           coalesce(%(expires_at)s::bigint, now + %(expires_in)s::bigint) as expires
    from clock
),
new as (
    insert into dray.dray_job
        (id, task, lane, due, later, state, max_attempts, enqueued, args, expires, options, tags, schedule, parent)
    select %(id)s::bytea, %(task)s::text, case when due > now then - %(lane)s::int else %(lane)s::int end, due,
           case when due > now then due end, case when due > now then 0 else 1 end, %(max_attempts)s::int, now, %(args)s::bytea,
           expires, %(options)s::bytea, %(tags)s::text, %(schedule)s::text, %(parent)s::bytea
    from wish
    where not exists (select from dray.dray_done where id = %(id)s::bytea)
    on conflict (id) do nothing
    returning state
),
counted as (
    insert into dray.dray_tally (queue, state, n) select %(queue)s::text, state, 1 from new
)
select case when not %(ring)s::boolean then null
            when not pg_try_advisory_lock(%(area)s::int, 4) then pg_notify(%(channel)s::text, %(queue)s::text)::text
            when pg_advisory_unlock(%(area)s::int, 4) and pg_try_advisory_lock(%(area)s::int, %(queue_lock)s::int)
            then pg_advisory_unlock(%(area)s::int, %(queue_lock)s::int)::text
            else pg_notify(%(channel)s::text, %(queue)s::text)::text end
from new
