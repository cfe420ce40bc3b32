insert into dray.dray_tally (queue, state, n) values (%s, %s, %s)
