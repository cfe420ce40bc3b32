select ask, asks from dray.dray_node where id = %(node)s for no key update
