select at, %(name)s::text, source, data from dray.dray_figure
where series = %(kind)s::text || chr(9) || %(span)s::int || chr(9) || %(name)s::text and at >= %(since)s and at < %(until)s
order by at, source limit %(n)s
