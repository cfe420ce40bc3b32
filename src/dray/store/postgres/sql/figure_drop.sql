delete from dray.dray_figure f
using unnest(%(kinds)s::text[], %(spans)s::int[], %(names)s::text[], %(ats)s::bigint[], %(sources)s::text[])
    m (kind, span, name, at, source)
where f.kind = m.kind and f.span = m.span and f.name = m.name and f.at = m.at and f.source = m.source
