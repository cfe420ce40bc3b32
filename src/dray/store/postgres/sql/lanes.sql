select id, queue, executor, rank, hold from dray.dray_lane
