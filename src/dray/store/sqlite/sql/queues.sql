select name, paused, by from dray_queue order by name
