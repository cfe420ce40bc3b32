-- Jobs came back into lanes behind what had been taken from there already: every node's low-water mark must know.
-- Only what came back within the last minute counts; before that, everybody has swept the lane.
update dray.dray_lane l
set turns = turns + 1, turned = %(now)s::bigint,
    low = case when turned < %(now)s::bigint - 60000000 then m.low else least(l.low, m.low) end
from unnest(%(lanes)s::int[], %(lows)s::bigint[]) m (lane, low)
where l.id = m.lane
