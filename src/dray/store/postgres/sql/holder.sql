-- Who else has locked a job that waits: claims pass it by.
select a.pid, coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(a.state, ''),
       (extract(epoch from clock_timestamp() - a.xact_start) * 1000000)::bigint
from dray.dray_job j join pg_stat_activity a on a.backend_xid::text = j.xmax::text
where j.id = %(id)s and a.pid <> pg_backend_pid() and a.application_name <> 'dray'
