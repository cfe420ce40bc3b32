insert into dray.dray_leader (role, node, boot, until)
values (%(role)s, %(node)s, %(boot)s,
    coalesce(%(steady)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint) + %(term)s::bigint)
on conflict (role) do update set node = excluded.node, boot = excluded.boot, until = excluded.until
where dray_leader.node = excluded.node or dray_leader.boot <> excluded.boot
   or dray_leader.until < coalesce(%(steady)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
returning node
