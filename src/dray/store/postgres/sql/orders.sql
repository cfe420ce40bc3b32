select seq, claim, reason from dray.dray_job where cancel is not null and state = 2 and node = %(node)s order by seq
