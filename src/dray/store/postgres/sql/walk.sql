set local enable_seqscan = on
