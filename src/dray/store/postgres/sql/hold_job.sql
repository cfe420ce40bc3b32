-- The job, kept as it is until the end of the transaction if it is not final.
select j.seq, j.state, l.queue, j.claim, j.lane, j.options
from dray.dray_job j join dray.dray_lane l on l.id = abs(j.lane)
where j.id = %(id)s
for update of j
