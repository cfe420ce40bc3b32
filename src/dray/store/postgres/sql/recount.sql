select l.queue, j.state, j.n
from (
    select abs(lane) as lane, state, count(*) as n from dray.dray_job group by abs(lane), state
    union all
    select lane, state, count(*) from dray.dray_done group by lane, state
) j
join dray.dray_lane l on l.id = j.lane
order by 1, 2
