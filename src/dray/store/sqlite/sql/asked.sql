select asks from dray_node where id = :node and asks is not null
