update dray.dray_job j
set state = 8, lane = m.siding, node = null, attempt = attempt - 1, started = null
from unnest(%(seqs)s::bigint[], %(claims)s::int[], %(sidings)s::int[]) m (seq, claim, siding)
where j.seq = m.seq and j.claim = m.claim and j.state = 2
returning j.lane, j.due
