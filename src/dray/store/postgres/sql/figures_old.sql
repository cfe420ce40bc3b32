select kind, at, name, source, data from dray.dray_figure
where span = %(span)s and at < %(before)s
order by at limit %(n)s
