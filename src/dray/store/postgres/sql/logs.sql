select line, at, claim, level, text from dray.dray_log where seq = %(seq)s and line > %(after)s order by line limit %(n)s
