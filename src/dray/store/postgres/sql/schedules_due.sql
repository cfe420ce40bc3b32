select name, task, queue, executor, priority, max_attempts, spec, tz, args, options, tags, catch_up, "window", overlap, origin,
       paused, last, next, fired, missed
from dray.dray_schedule where paused is null and next <= %(now)s order by next limit %(n)s
