update dray.dray_node set claimed = %(now)s where id = %(node)s
