insert into dray.dray_queue (name, paused, by) values (%(name)s, %(now)s, %(by)s)
on conflict (name) do update set paused = coalesce(dray_queue.paused, excluded.paused), by = excluded.by
