update dray.dray_queue set paused = null, by = %(by)s where name = %(name)s and paused is not null returning name
