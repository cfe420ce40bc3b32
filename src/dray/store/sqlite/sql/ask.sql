update dray_node set ask = :number, asks = :asks where id = :node
