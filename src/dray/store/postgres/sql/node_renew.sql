update dray.dray_node set until = %(until)s where id = %(node)s and boot = %(boot)s
