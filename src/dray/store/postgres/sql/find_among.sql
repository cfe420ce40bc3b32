select j.seq, j.id, j.state from dray.dray_job j where j.seq = any (%(seqs)s::bigint[]) /* and open */
union all
select j.seq, j.id, j.state from dray.dray_done j where j.seq = any (%(seqs)s::bigint[]) /* and final */
