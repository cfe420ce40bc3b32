select id, name, host, pid from dray.dray_node where boot <> %(boot)s or until < %(steady)s order by id
