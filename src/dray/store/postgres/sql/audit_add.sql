insert into dray.dray_audit (at, by, via, action, target, detail) values (%(at)s, %(by)s, %(via)s, %(action)s, %(target)s, %(detail)s)
