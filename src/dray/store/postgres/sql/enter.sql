insert into dray.dray_node (name, host, pid, boot, until, entered, renewed, info)
values (%(name)s, %(host)s, %(pid)s, %(boot)s, %(until)s, %(now)s, %(now)s, %(info)s)
returning id
