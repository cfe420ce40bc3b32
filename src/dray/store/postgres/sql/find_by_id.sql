select seq from dray.dray_job where id between %(low)s and %(high)s
union all
select seq from dray.dray_done where id between %(low)s and %(high)s
limit %(n)s
