update dray_schedule set paused = :paused, next = coalesce(:next, next), last = max(last, coalesce(:last, last)) where name = :name returning name
