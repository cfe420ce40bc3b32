select d.seq, d.state, l.queue, d.claim, d.lane, d.options
from dray.dray_done d join dray.dray_lane l on l.id = d.lane
where d.id = %(id)s
for update of d
