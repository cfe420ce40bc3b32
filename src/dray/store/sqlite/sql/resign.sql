delete from dray_leader where role = :role and node = :node
