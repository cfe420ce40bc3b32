-- claim.sql for some jobs, as a transaction by itself: the first question of a worker that has been woken. It leaves alone whatever
-- needs more than a claim: all if the node's lease is not sound, lanes that are paused by now, jobs that have expired or are not known.
with clock as (
    select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now
),
mine as (
    select c.now from clock c join dray.dray_node n on n.id = %(node)s::bigint
    where n.boot = %(boot)s::text and n.until >= coalesce(%(steady)s::bigint, c.now)
    for key share of n
),
taken as (
    update dray.dray_job
    set state = 2, node = %(node)s::bigint, claim = claim + 1, attempt = attempt + 1, started = (select now from mine)
    where ctid = any (array (
        select job.ctid
        from mine
        cross join unnest(%(lanes)s::int[], %(queues)s::text[], %(lows)s::bigint[], %(afters)s::bigint[])
            with ordinality as l (lane, queue, low, after, place)
        cross join lateral (
            select j.ctid, j.task, j.expires from dray.dray_job j
            where j.lane = l.lane and (j.due, j.seq) >= (l.low, l.after) and j.state = 1
            order by j.due, j.seq
            limit %(n)s::bigint
            for update skip locked
        ) job
        where job.task = any (%(tasks)s::text[]) and coalesce(job.expires > mine.now, true)
              and not exists (select from dray.dray_queue q where q.name = l.queue and q.paused is not null)
        limit %(n)s::bigint
    ))
    returning seq, id, task, args, lane, claim, attempt, losses, max_attempts, due, enqueued, options, tags, expires, started
),
counted as (
    insert into dray.dray_tally (queue, state, n)
    select l.queue, s.state, s.step * count(*)
    from taken t join dray.dray_lane l on l.id = t.lane cross join (values (1, -1), (2, 1)) s (state, step)
    group by l.queue, s.state, s.step
)
select * from taken
