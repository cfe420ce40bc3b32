-- Running jobs of nodes that no longer exist: nothing should make them, and nothing may hide them.
with recursive holder (node) as (
    select min(node) from dray_job indexed by dray_job_running where state = 2
    union all
    select (select min(node) from dray_job indexed by dray_job_running where state = 2 and node > holder.node)
    from holder where holder.node is not null
)
select node from holder where node is not null and node not in (select id from dray_node)
