select 1 from dray_job where seq = :seq and claim = :claim and state = 5 and finished = :now
