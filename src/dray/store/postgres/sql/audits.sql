select by, via, action, target, detail, number, at from dray.dray_audit where number < %(before)s order by number desc limit %(n)s
