-- A row that is no job keeps the highest place that was ever taken, once the job that had it is gone: SQLite gives the next job the
-- place after the highest there is, and a place must never be taken twice. (`autoincrement` would see to that too, and cost each
-- enqueue the writing of one page more.)
insert or replace into dray_job (seq, id, task, queue, executor, rank, due, state, max_attempts, enqueued, args)
select :seq, zeroblob(16), '', '', 0, 0, 0, 9, 0, 0, '{}'
where :seq > (select coalesce(max(seq), 0) from dray_job)
