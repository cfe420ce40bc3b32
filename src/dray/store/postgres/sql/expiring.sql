select j.seq, l.queue, l.executor, l.rank, j.state
from dray.dray_job j join dray.dray_lane l on l.id = abs(j.lane)
where j.expires <= %(now)s and j.state in (0, 1, 8)
order by j.expires limit %(n)s
