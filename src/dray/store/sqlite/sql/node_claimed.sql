update dray_node set claimed = :now where id = :node
