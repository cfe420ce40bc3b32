with waiting as (
    delete from dray.dray_job where seq = %(seq)s and state <> 2 returning lane, state
),
final as (
    delete from dray.dray_done where seq = %(seq)s returning lane, state
)
select l.queue, gone.state
from (select * from waiting union all select * from final) gone join dray.dray_lane l on l.id = abs(gone.lane)
