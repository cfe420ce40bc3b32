-- Which database this is, in words that no two have in common; host names and poolers hide that. And whether the store is in it.
select d.oid::bigint, (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
       exists (
           select from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = %(schema)s::text and c.relname = 'dray_job'
       ),
       d.datname::text, coalesce(host(inet_server_addr()), 'a local socket') || coalesce(':' || inet_server_port(), '')
from pg_database d
where d.datname = current_database()
