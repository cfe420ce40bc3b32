update dray.dray_node set ask = %(number)s, asks = %(asks)s where id = %(node)s
