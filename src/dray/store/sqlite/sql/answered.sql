select answered, answer from dray_node where id = :node and answered is not null
