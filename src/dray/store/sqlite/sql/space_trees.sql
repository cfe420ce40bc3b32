-- Each table and each index is a b-tree. In those of tables with a rowid only leaves hold rows.
select name, tbl_name, type = 'table', coalesce(sql, '') like '%without rowid%' from sqlite_master
where rootpage > 0 and tbl_name glob 'dray_*'
