insert into dray_figure (kind, span, name, at, source, data) values (?, ?, ?, ?, ?, ?)
on conflict (kind, span, name, at, source) do update set data = excluded.data
