select 1 from dray_job indexed by dray_job_prune where prune_after is not null and prune_after <= :now limit 1
