select seq, state, queue, claim from dray_job where id = :id
