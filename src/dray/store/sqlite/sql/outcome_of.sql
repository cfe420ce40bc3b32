select state, result, error, reason, task, attempt, claim from dray_job where id = :id and state <> 9
