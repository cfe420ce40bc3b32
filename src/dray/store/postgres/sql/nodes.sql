select id, name, host, pid, boot, until, entered, renewed, claimed, stopping, info from dray.dray_node order by id
