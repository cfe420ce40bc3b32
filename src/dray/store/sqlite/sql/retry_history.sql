insert or ignore into dray_history (seq, claim, attempt, word, node, started, finished, reason, error)
select seq, claim, attempt, case state when 5 then 'returned' when 6 then 'failed' else 'cancelled' end, node, started,
       coalesce(finished, :now), reason, error
from dray_job where seq = :seq and state in (5, 6, 7)
