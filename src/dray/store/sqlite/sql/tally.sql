insert into dray_tally (queue, state, n) values (?, ?, ?)
on conflict (queue, state) do update set n = n + excluded.n
