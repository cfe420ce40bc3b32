-- Looks at the oldest `n` only.
delete from dray.dray_audit where number in (
    select number from (select number, at from dray.dray_audit order by number limit %(n)s) as oldest
    where at < %(old)s or number <= (select number from dray.dray_audit order by number desc limit 1 offset %(keep)s)
)
returning number
