select min(next) from dray_schedule where paused is null
