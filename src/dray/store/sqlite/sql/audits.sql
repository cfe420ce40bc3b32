select by, via, action, target, detail, number, at from dray_audit where number < :before order by number desc limit :n
