-- The first statement of a transaction that a task shares: which transaction it is, and whether the job is still this run's.
select (extract(epoch from now()) * 1000000)::bigint,
       exists (select from dray.dray_job where seq = %(seq)s::bigint and claim = %(claim)s::int and state = 2)
