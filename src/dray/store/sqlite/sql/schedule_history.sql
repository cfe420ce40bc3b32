select seq from dray_job where schedule = :name order by seq desc limit :n
