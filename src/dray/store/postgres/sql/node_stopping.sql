update dray.dray_node set stopping = 1 where id = %(node)s
