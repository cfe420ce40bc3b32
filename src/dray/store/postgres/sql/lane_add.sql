insert into dray.dray_lane (queue, executor, rank, hold) values (%(queue)s, %(executor)s, %(rank)s, %(hold)s)
on conflict (queue, executor, rank, hold) do nothing
