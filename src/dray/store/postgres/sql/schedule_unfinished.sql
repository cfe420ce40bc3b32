select seq, id, state from dray.dray_job where schedule = %(name)s order by seq limit 100
