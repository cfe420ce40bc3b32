select (select later from dray.dray_job where later >= %(low)s order by later limit 1)
