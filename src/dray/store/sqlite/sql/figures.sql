select at, name, source, data from dray_figure indexed by dray_figure_at
where kind = :kind and span = :span and at >= :since and at < :until
order by at limit :n
