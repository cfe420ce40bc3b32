-- How far down so many jobs reach: the number of the next one.
select seq from dray_job where seq < :before order by seq desc limit 1 offset :most
