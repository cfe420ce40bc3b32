delete from dray.dray_node
where id = %(node)s and (boot <> %(boot)s or until < %(steady)s)
returning id
