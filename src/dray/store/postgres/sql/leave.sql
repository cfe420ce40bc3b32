delete from dray.dray_node where id = %(node)s returning id
