delete from dray.dray_leader where role = %(role)s and node = %(node)s
