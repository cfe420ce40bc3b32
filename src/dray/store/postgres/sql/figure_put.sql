insert into dray.dray_figure (kind, span, name, at, source, data)
select * from unnest(
    %(kinds)s::text[], %(spans)s::int[], %(names)s::text[], %(ats)s::bigint[], %(sources)s::text[], %(datas)s::bytea[]
)
on conflict (kind, span, name, at, source) do update set data = excluded.data
