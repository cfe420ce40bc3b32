-- Somebody may have asked to cancel the job while it ran: then it does not run again.
update dray_job
set state = case when cancel = 1 and :finished is null then 7 else :state end,
    due = case when cancel = 1 then due else coalesce(:due, due) end,
    finished = case when cancel = 1 then :now else :finished end,
    prune_after = case when cancel = 1 and :finished is null then :now + cast(1000000 * coalesce(
        case when json_valid(cast(options as text)) then json_extract(cast(options as text), '$.result_ttl') end, :keep) as integer)
        else :prune_after end,
    started = case when :finished is null and cancel is null then null else started end,
    node = case when :finished is null and cancel is null then null else node end,
    reason = coalesce(:reason, reason),
    result = :result,
    error = coalesce(:error, error),
    attempt = attempt - :back,
    losses = losses + :lost,
    cancel = null
where seq = :seq and claim = :claim and state = 2
returning state
