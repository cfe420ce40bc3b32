-- The ledger's rows become one for each queue and state. Rows that somebody else is folding are left to him.
with gone as (
    delete from dray.dray_tally
    where ctid = any (array (select ctid from dray.dray_tally limit 100000 for update skip locked))
    returning queue, state, n
)
insert into dray.dray_tally (queue, state, n)
select queue, state, sum(n)::bigint from gone group by queue, state having sum(n) <> 0
