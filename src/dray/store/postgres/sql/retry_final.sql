with back as (
    delete from dray.dray_done where seq = %(seq)s returning *
)
insert into dray.dray_job
    (seq, due, enqueued, lane, claim, max_attempts, state, id, task, args, options, tags, schedule, parent)
overriding system value
select seq, %(now)s, enqueued, lane, claim, max_attempts, 1, id, task, args, options, tags, schedule, parent
from back
returning lane
