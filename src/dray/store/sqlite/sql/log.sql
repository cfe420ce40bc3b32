insert into dray_log (seq, line, at, claim, level, text)
select seq, coalesce((select max(line) from dray_log l where l.seq = dray_job.seq), 0) + 1, ?, claim, ?, ?
from dray_job where seq = ? and claim = ? and state = 2
