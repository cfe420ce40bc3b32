insert into dray.dray_log (seq, line, at, claim, level, text)
select seq, coalesce((select max(line) from dray.dray_log l where l.seq = j.seq), 0) + 1, %s::bigint, claim, %s::text, %s::text
from dray.dray_job j where seq = %s and claim = %s and state = 2
