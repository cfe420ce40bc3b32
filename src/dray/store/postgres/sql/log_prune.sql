delete from dray.dray_log where seq = any (%(seqs)s::bigint[])
