update dray.dray_job j
set state = m.to_state, due = coalesce(m.to_due, j.due), later = case m.to_state when 0 then coalesce(m.to_due, j.due) end,
    lane = case when m.to_state in (0, 4) then -j.lane else j.lane end,
    started = null, node = null, reason = coalesce(m.why, j.reason), error = coalesce(m.what, j.error),
    attempt = attempt - m.back, losses = losses + m.lost, cancel = null
from unnest(
    %(seqs)s::bigint[], %(claims)s::int[], %(states)s::smallint[], %(dues)s::bigint[], %(backs)s::int[], %(losts)s::int[],
    %(reasons)s::text[], %(errors)s::bytea[]
) m (seq, claim, to_state, to_due, back, lost, why, what)
where j.seq = m.seq and j.claim = m.claim and j.state = 2
returning j.seq
