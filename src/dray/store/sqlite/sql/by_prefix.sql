select id from dray_job where id between :low and :high order by id limit :n
