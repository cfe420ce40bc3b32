-- A lease that has run out is renewed as long as nobody has acted on it: a rescue deletes the row, in the same transaction in which
-- it gives the jobs to others. So a store that could not be written for a while costs nobody their jobs.
update dray_node set until = :until, renewed = :now, claimed = max(coalesce(claimed, 0), :claimed)
where id = :node and boot = :boot
returning id
