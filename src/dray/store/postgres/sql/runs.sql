-- The runs that are about to be settled, as they are and kept so until that is done.
select j.seq, j.claim, j.attempt, j.node, j.started, j.cancel, j.options
from unnest(%(seqs)s::bigint[], %(claims)s::int[]) m (seq, claim)
join dray.dray_job j on j.seq = m.seq and j.claim = m.claim and j.state = 2
for update of j
