select queue, state, count(*) from dray_job where state <> 9 group by queue, state order by queue, state
