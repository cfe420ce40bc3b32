select min(next) from dray.dray_schedule where paused is null
