select seq from dray_job where seq = :seq and claim = :claim and state = 2
