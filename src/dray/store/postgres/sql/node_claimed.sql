-- At most once a second: each version of the row is a dead one soon, and under an old transaction they stay.
update dray.dray_node set claimed = %(now)s where id = %(node)s and (claimed is null or abs(claimed - %(now)s) >= 1000000)
