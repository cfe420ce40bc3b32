-- Each table with its indexes and what is stored beside it; how many rows it had when it was last looked at by vacuum.
select c.relname, case when c.reltuples < 0 then null else c.reltuples::bigint end, pg_total_relation_size(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind = 'r' and starts_with(c.relname::text, 'dray_')
order by 3 desc
