-- Lane by lane in the order given, and no more of them than it takes. `low` is below everything that may still be there: without
-- it the dead rows that an old transaction elsewhere keeps from being removed would be walked again in every claim.
update dray.dray_job
set state = 2, node = %(node)s, claim = claim + 1, attempt = attempt + 1, started = %(now)s
where ctid = any (array (
    select job.ctid
    from unnest(%(lanes)s::int[], %(lows)s::bigint[], %(afters)s::bigint[]) with ordinality as l (lane, low, after, place)
    cross join lateral (
        select j.ctid from dray.dray_job j
        where j.lane = l.lane and (j.due, j.seq) >= (l.low, l.after) and j.state in (1, 8)
        order by j.due, j.seq
        limit %(n)s
        for update skip locked
    ) job
    limit %(n)s
))
returning seq, id, task, args, lane, claim, attempt, losses, max_attempts, due, enqueued, options, tags, expires, started
