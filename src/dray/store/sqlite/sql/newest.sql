select queue, state from dray_job order by seq desc limit :n
