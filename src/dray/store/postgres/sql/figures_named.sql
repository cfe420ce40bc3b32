select at, name, source, data from dray.dray_figure
where kind = %(kind)s and span = %(span)s and name = %(name)s and at >= %(since)s and at < %(until)s
order by at, source limit %(n)s
