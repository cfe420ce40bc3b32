-- add_one.sql for a job that is due at once, never expires, and whose id is almost certainly new: in as few steps of the executor as
-- will do, because each of them costs (right after a wait for the disk, a few microseconds). If that id is kept already, the statement
-- fails, and nothing has been written: the id is unique among the unfinished jobs, and for a finished one there is no `n`.
with counted as (
    insert into dray.dray_tally (queue, state, n)
    values (%(queue)s::text, 1, case when not exists (select from dray.dray_done where id = %(id)s::bytea) then 1 end)
)
insert into dray.dray_job (id, task, lane, due, state, max_attempts, enqueued, args, options, tags)
values (
    %(id)s::bytea, %(task)s::text, %(lane)s::int,
    coalesce(%(now)s::bigint, (extract(epoch from statement_timestamp()) * 1000000)::bigint), 1, %(max_attempts)s::int,
    coalesce(%(now)s::bigint, (extract(epoch from statement_timestamp()) * 1000000)::bigint),
    %(args)s::bytea, %(options)s::bytea, %(tags)s::text
)
returning case when not %(ring)s::boolean then null
               when not pg_try_advisory_lock(%(area)s::int, 4) then pg_notify(%(channel)s::text, %(queue)s::text)::text
               when pg_advisory_unlock(%(area)s::int, 4) and pg_try_advisory_lock(%(area)s::int, %(queue_lock)s::int)
               then pg_advisory_unlock(%(area)s::int, %(queue_lock)s::int)::text
               else pg_notify(%(channel)s::text, %(queue)s::text)::text end
