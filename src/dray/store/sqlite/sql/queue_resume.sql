update dray_queue set paused = null, by = :by where name = :name and paused is not null returning name
