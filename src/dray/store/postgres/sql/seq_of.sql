select seq, state, queue, claim from dray.dray_jobs where id = %(id)s
