select seq from (
    (
        select seq from dray.dray_done
        where %(failed)s::boolean and state in (6, 7) and (state, seq) < (6, %(before)s::bigint) and (state, seq) > (6, 0)
        order by state desc, seq desc limit %(most)s::bigint + 1
    )
    union all
    (
        select seq from dray.dray_done
        where %(cancelled)s::boolean and state in (6, 7) and (state, seq) < (7, %(before)s::bigint) and (state, seq) > (7, 0)
        order by state desc, seq desc limit %(most)s::bigint + 1
    )
    order by 1 desc limit %(most)s::bigint + 1
) newest
offset %(most)s::bigint
