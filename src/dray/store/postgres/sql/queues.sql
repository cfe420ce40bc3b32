select name, paused, by from dray.dray_queue order by name
