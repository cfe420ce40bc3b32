select name from dray_queue where paused is not null
