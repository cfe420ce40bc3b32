select line, at, claim, level, text from dray_log where seq = :seq and line > :after order by line limit :n
