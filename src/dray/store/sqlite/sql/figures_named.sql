select at, name, source, data from dray_figure
where kind = :kind and span = :span and name = :name and at >= :since and at < :until
order by at, source limit :n
