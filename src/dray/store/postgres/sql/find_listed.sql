-- Unfinished jobs of some states, if they are few. What runs has no index of its own: it stands at the head of its lane, which is
-- looked through a bit further than all of it would reach. What is blocked stands in a siding.
select j.seq from dray.dray_lane l cross join lateral (
    select seq, state from dray.dray_job where lane = l.id order by due, seq limit %(most)s::bigint
) j
where %(running)s::boolean and j.state = 2
union all
select j.seq from dray.dray_lane l join dray.dray_job j on j.lane = l.id
where %(blocked)s::boolean and l.hold <> '' and j.state = 3
union all
select seq from dray.dray_job where %(scheduled)s::boolean and later is not null and state = 0
