select kind, at, name, source, data from dray_figure indexed by dray_figure_old
where span = :span and at < :before
order by at limit :n
