--@ use: figures
-- The oldest rows of a span. ARGV: from where and until where to look, how many. Answer: where to go on ('' at the end), then key and
-- data of each.
local found = redis.call('ZRANGEBYLEX', k_figure_times, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
return figures_told(#found == tonumber(ARGV[3]) and '(' .. found[#found] or '', found)
