select claim, attempt, word, node, started, finished, reason, error from dray.dray_history where seq = %(seq)s order by claim
