update dray.dray_job j
set state = 1, node = null, attempt = attempt - 1, started = null
from unnest(%(seqs)s::bigint[], %(claims)s::int[]) m (seq, claim)
where j.seq = m.seq and j.claim = m.claim and j.state = 2 and j.cancel is null
returning j.seq, j.claim, j.lane, j.due
