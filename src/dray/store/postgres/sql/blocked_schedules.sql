select j.seq, j.schedule, l.queue, l.executor, l.rank
from dray.dray_lane l join dray.dray_job j on j.lane = l.id and j.state = 3
where l.hold >= 'schedule:' and l.hold < 'schedule;'
order by j.seq
