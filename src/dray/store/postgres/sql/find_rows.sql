select * from dray.dray_jobs where seq = any (%(seqs)s::bigint[])
