select claim, attempt, word, node, started, finished, reason, error from dray_history where seq = :seq order by claim
