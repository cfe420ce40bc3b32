-- What failed or was cancelled, the newest first. Rows are compared as a whole, so that no other index will do than theirs.
(
    select j.seq, j.id, j.state from dray.dray_done j
    where %(failed)s::boolean and j.state in (6, 7)
      and (j.state, j.seq) < (6, %(before)s::bigint) and (j.state, j.seq) > (6, %(floor)s::bigint) /* and final */
    order by j.state desc, j.seq desc limit %(n)s
)
union all
(
    select j.seq, j.id, j.state from dray.dray_done j
    where %(cancelled)s::boolean and j.state in (6, 7)
      and (j.state, j.seq) < (7, %(before)s::bigint) and (j.state, j.seq) > (7, %(floor)s::bigint) /* and final */
    order by j.state desc, j.seq desc limit %(n)s
)
order by 1 desc limit %(n)s
