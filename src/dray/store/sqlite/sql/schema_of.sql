select value from dray_meta where key = 'schema'
