update dray_schedule set next = :next where name = :name
