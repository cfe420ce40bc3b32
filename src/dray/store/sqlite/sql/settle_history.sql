insert or ignore into dray_history (seq, claim, attempt, word, node, started, finished, reason, error)
select seq, claim, attempt, :word, node, started, :now, :reason, :error from dray_job
where seq = :seq and claim = :claim and state = 2
