update dray_node set info = :info where id = :node
