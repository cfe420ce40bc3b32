select ask, asks from dray_node where id = :node
