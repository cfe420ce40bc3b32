-- No index knows who runs what (a claim would have to write it); this walks over all unfinished jobs, when a node has died.
select j.seq, j.id, j.task, j.args, l.queue, l.executor, j.claim, j.attempt, j.losses, j.max_attempts, j.due, j.enqueued, j.options,
       j.tags, l.rank, j.expires, j.started, j.cancel, j.reason
from dray.dray_job j join dray.dray_lane l on l.id = j.lane
where j.state = 2 and j.node = %(node)s
limit %(n)s
