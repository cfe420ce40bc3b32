with gone as (
    delete from dray.dray_done
    where ctid = any (array (
        select ctid from dray.dray_done where prune_after >= %(low)s and prune_after <= %(now)s order by prune_after limit %(n)s
        for update skip locked
    ))
    returning seq, lane, state, prune_after
)
select gone.seq, l.queue, gone.state, gone.prune_after from gone join dray.dray_lane l on l.id = gone.lane
