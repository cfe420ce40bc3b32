with wanted (number) as materialized (select value from json_each(:seqs))
select seq, id, state from wanted cross join dray_job on seq = number
where state <> 9 /* and */
