--@ use: figures
-- The oldest rows of a span. ARGV: from where and until where to look, how many. Answer: where to go on ('' at the end), then key and
-- data of each.
local answer = {''}
local last = figures_between(ARGV[1], ARGV[2], tonumber(ARGV[3]), answer)
answer[1] = last and '(' .. last or ''
return answer
