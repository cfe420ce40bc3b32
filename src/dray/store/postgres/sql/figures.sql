select at, substr(series, length(kind) + length(span::text) + 3), source, data from dray.dray_figure
where kind = %(kind)s and span = %(span)s and at >= %(since)s and at < %(until)s
order by at limit %(n)s
