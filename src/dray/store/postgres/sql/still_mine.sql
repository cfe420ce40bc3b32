select seq from dray.dray_job where seq = %(seq)s and claim = %(claim)s and state = 2
