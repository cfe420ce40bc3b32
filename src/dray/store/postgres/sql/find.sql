-- The newest first, of what is not final and of what is.
(
    select j.seq, j.id, j.state from dray.dray_job j
    where %(open)s::boolean and j.seq < %(before)s::bigint and j.seq > %(floor)s::bigint /* and open */
    order by j.seq desc limit %(n)s
)
union all
(
    select j.seq, j.id, j.state from dray.dray_done j
    where %(final)s::boolean and j.seq < %(before)s::bigint and j.seq > %(floor)s::bigint /* and final */
    order by j.seq desc limit %(n)s
)
order by 1 desc limit %(n)s
