select state, result, error, reason, task, attempt, claim from dray.dray_jobs where id = %(id)s
