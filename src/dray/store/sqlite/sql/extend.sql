-- A lease that has run out is not renewed: others may be about to rescue its jobs.
update dray_node set until = :until, renewed = :now, claimed = max(coalesce(claimed, 0), :claimed)
where id = :node and boot = :boot and until >= :steady
returning id
