-- The whole file, and whether SQLite has been compiled to look into its b-trees.
select p.page_count * s.page_size, f.freelist_count * s.page_size,
       exists (select 1 from pragma_compile_options where compile_options = 'ENABLE_DBSTAT_VTAB')
from pragma_page_count p, pragma_page_size s, pragma_freelist_count f
