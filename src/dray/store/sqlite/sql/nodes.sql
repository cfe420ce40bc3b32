select id, name, host, pid, boot, until, entered, renewed, claimed, stopping, info from dray_node order by id
