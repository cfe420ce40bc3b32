select queue, state, n from dray_tally where n <> 0 order by queue, state
