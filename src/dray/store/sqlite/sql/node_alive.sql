select until from dray_node where id = :node and boot = :boot
