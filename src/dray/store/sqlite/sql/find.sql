-- Newest first.
select seq, id, task, queue, executor, rank, due, state, claim, attempt, losses, max_attempts, enqueued, args, node, started,
       finished, prune_after, expires, options, tags, hold, reason, cancel, schedule, parent, progress, result, error
from dray_job
where seq < coalesce(:before, 9223372036854775807) and state <> 9
  and (:states is null or state in (select value from json_each(:states)))
  and (:queue is null or queue = :queue)
  and (:task is null or task glob :task)
  and (:schedule is null or schedule = :schedule)
  and (:tag is null or exists (select 1 from json_each(case when json_valid(tags) then tags else '[]' end) where value = :tag))
  and (:text is null or instr(args, :text) > 0 or instr(coalesce(error, ''), :text) > 0)
order by seq desc limit :n
