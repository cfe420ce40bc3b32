select id from dray_job where id between :low and :high and state <> 9 order by id limit :n
