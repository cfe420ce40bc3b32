update dray_node set asks = :asks, answer = :answer, answered = :now where id = :node
