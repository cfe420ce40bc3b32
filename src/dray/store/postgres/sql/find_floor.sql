-- How far down so many jobs reach: the number of the next one.
select seq from (
    (
        select seq from dray.dray_job where %(open)s::boolean and seq < %(before)s::bigint
        order by seq desc limit %(most)s::bigint + 1
    )
    union all
    (
        select seq from dray.dray_done where %(final)s::boolean and seq < %(before)s::bigint
        order by seq desc limit %(most)s::bigint + 1
    )
    order by 1 desc limit %(most)s::bigint + 1
) newest
offset %(most)s::bigint
