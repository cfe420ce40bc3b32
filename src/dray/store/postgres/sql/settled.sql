select d.seq
from unnest(%(seqs)s::bigint[], %(claims)s::int[]) m (seq, claim)
join dray.dray_done d on d.seq = m.seq and d.claim = m.claim
