delete from dray.dray_schedule where name = %(name)s returning name
