-- What there is for maintenance to do, in one look.
select exists (select from dray.dray_node where boot <> %(boot)s or until < coalesce(%(steady)s::bigint, c.now)),
       exists (select from dray.dray_job where expires <= c.now and state in (0, 1, 8)),
       exists (select from dray.dray_done where prune_after >= %(low)s and prune_after <= c.now),
       exists (select from dray.dray_lane l
               where l.hold >= 'schedule:' and l.hold < 'schedule;'
                 and exists (select from dray.dray_job j where j.lane = l.id and j.state = 3)),
       (select min(next) from dray.dray_schedule where paused is null) - c.now,
       (select count(*) from (select from dray.dray_tally limit 1000) t) >= 1000
from (select coalesce(%(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now) c
