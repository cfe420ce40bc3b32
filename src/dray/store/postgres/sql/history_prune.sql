delete from dray.dray_history where seq = any (%(seqs)s::bigint[])
