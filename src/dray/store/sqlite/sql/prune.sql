select seq, queue, state from dray_job indexed by dray_job_prune
where prune_after is not null and prune_after <= :now
order by prune_after limit :n
