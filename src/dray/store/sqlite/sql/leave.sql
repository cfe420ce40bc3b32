delete from dray_node where id = :node returning id
