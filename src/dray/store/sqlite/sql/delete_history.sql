delete from dray_history where seq = :seq
