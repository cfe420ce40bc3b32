select kind, at, substr(series, length(kind) + length(span::text) + 3), source, data from dray.dray_figure
where span = %(span)s and at + 0 < %(before)s
order by at + 0 limit %(n)s
