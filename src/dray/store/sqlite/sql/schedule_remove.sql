delete from dray_schedule where name = :name returning name
