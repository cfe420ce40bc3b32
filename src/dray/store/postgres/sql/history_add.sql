insert into dray.dray_history (seq, claim, attempt, word, node, started, finished, reason, error)
select * from unnest(
    %(seqs)s::bigint[], %(claims)s::int[], %(attempts)s::int[], %(words)s::text[], %(nodes)s::bigint[], %(starts)s::bigint[],
    %(ends)s::bigint[], %(reasons)s::text[], %(errors)s::bytea[]
)
on conflict (seq, claim) do nothing
