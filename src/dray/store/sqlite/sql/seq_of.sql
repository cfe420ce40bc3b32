select seq, state, queue, claim from dray_job where id = :id and state <> 9
