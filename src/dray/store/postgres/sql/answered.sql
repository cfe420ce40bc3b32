select answered, answer from dray.dray_node where id = %(node)s and answered is not null
