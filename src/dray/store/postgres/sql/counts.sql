select queue, state, sum(n)::bigint from dray.dray_tally group by queue, state having sum(n) <> 0 order by queue, state
