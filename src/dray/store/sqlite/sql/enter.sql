insert into dray_node (name, host, pid, boot, until, entered, renewed, info)
values (:name, :host, :pid, :boot, :until, :now, :now, :info)
returning id
