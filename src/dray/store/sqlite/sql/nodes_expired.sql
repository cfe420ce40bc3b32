select id, name, host, pid from dray_node where boot <> :boot or until < :steady
