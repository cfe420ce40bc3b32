-- One step into the index for each, also if the plan was made while there were none: a join might walk over all of it.
delete from dray.dray_figure
where ctid = any (array (
    select f.ctid
    from unnest(%(kinds)s::text[], %(spans)s::int[], %(names)s::text[], %(ats)s::bigint[], %(sources)s::text[])
        m (kind, span, name, at, source)
    cross join lateral (
        select ctid from dray.dray_figure
        where series = m.kind || chr(9) || m.span || chr(9) || m.name and at = m.at and source = m.source
        offset 0
    ) f
))
