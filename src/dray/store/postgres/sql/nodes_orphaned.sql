-- Running jobs of nodes that no longer exist: nothing should make them, and nothing may hide them. Walks over all unfinished jobs.
select distinct j.node from dray.dray_job j
where j.state = 2 and not exists (select from dray.dray_node n where n.id = j.node)
