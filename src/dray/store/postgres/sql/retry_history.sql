insert into dray.dray_history (seq, claim, attempt, word, node, started, finished, reason, error)
select seq, claim, attempt, case state when 5 then 'returned' when 6 then 'failed' else 'cancelled' end, node, started, finished,
       reason, error
from dray.dray_done where seq = %(seq)s
on conflict (seq, claim) do nothing
