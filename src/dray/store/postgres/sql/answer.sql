update dray.dray_node set asks = %(asks)s, answer = %(answer)s, answered = %(now)s where id = %(node)s
