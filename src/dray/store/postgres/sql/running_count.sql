select node, count(*) from dray.dray_job where state = 2 group by node
