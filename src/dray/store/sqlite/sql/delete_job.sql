delete from dray_job where seq = :seq and state <> 2 returning queue, state
