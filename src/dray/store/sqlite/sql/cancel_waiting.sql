update dray_job
set state = 7, finished = :now, reason = :reason, hold = null,
    prune_after = :now + cast(1000000 * coalesce(
        case when json_valid(cast(options as text)) then json_extract(cast(options as text), '$.result_ttl') end, :keep) as integer)
where seq = :seq and state = :state
returning queue
