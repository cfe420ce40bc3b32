select asks from dray.dray_node where id = %(node)s and asks is not null
