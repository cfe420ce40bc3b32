update dray.dray_job
set state = 1, later = null, lane = -lane
where ctid = any (array (
    select ctid from dray.dray_job where later >= %(low)s and later <= %(now)s order by later limit %(n)s for update skip locked
))
returning lane, due
