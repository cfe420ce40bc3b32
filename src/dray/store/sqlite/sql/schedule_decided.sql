update dray_schedule set last = :last, next = :next, fired = coalesce(:fired, fired), missed = missed + :missed
where name = :name and last = :seen
returning name
