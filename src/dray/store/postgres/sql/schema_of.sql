select value from dray.dray_meta where key = 'schema'
