insert into dray_queue (name, paused, by) values (:name, :now, :by)
on conflict (name) do update set paused = coalesce(dray_queue.paused, excluded.paused), by = excluded.by
