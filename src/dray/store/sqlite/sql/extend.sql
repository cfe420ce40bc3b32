update dray_node set until = :until, renewed = :now where id = :node and boot = :boot returning id
