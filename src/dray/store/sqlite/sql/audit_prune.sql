-- Looks at the oldest `n` only.
delete from dray_audit where number in (
    select number from (select number, at from dray_audit order by number limit :n) as oldest
    where at < :old or number <= (select number from dray_audit order by number desc limit 1 offset :keep)
)
returning number
