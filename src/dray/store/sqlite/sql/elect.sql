insert into dray_leader (role, node, boot, until) values (:role, :node, :boot, :until)
on conflict (role) do update set node = excluded.node, boot = excluded.boot, until = excluded.until
where dray_leader.node = excluded.node or dray_leader.boot <> excluded.boot or dray_leader.until < :steady
returning node
