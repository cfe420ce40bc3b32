select queue, state, count(*) from dray_job group by queue, state order by queue, state
