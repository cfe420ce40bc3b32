update dray.dray_job j
set lane = m.lane
from unnest(%(seqs)s::bigint[], %(lanes)s::int[]) m (seq, lane)
where j.seq = m.seq
