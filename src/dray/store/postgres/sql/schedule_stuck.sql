update dray.dray_schedule set next = %(next)s where name = %(name)s
