insert into dray.dray_figure (at, span, kind, series, source, data)
select m.at, m.span, m.kind, m.kind || chr(9) || m.span || chr(9) || m.name, m.source, m.data
from unnest(
    %(kinds)s::text[], %(spans)s::int[], %(names)s::text[], %(ats)s::bigint[], %(sources)s::text[], %(datas)s::bytea[]
) m (kind, span, name, at, source, data)
on conflict (series, at, source) do update set data = excluded.data
