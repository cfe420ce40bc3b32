-- Which of these moves have been written: to a final state by this very claim, or into its history under this word.
select m.seq
from unnest(%(seqs)s::bigint[], %(claims)s::int[], %(states)s::smallint[], %(words)s::text[]) m (seq, claim, state, word)
where exists (select from dray.dray_done d where d.seq = m.seq and d.claim = m.claim and d.state = m.state)
   or exists (select from dray.dray_history h where h.seq = m.seq and h.claim = m.claim and h.word = m.word)
