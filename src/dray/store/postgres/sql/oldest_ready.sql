select min((
    select j.due from dray.dray_job j
    where j.lane = l.id and j.due >= coalesce(k.low, 0) and j.state in (1, 8) order by j.due limit 1
))
from dray.dray_lane l
left join unnest(%(lanes)s::int[], %(lows)s::bigint[]) k (lane, low) on k.lane = l.id
where l.queue = %(queue)s and l.hold = ''
