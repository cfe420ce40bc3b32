--@ use: figures
-- The rows of one kind, or of one name, in a while. ARGV: from where and until where to look, what the kind (and the name) begin with,
-- and what comes after them, how many rows and how many moments at most. Answer: where to go on ('' at the end), then key and data of
-- each.
local from, to, lane, beyond, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local answer = {''}
for _ = 1, tonumber(ARGV[6]) do
    local next_ = redis.call('ZRANGEBYLEX', k_figure_times, from, to, 'LIMIT', 0, 1)[1]
    if not next_ then
        return answer
    end
    local stem = string.sub(next_, 1, STEM)
    local first = '[' .. stem .. lane
    if string.sub(from, 2, #stem + #lane + 1) == stem .. lane then
        first = from -- in the middle of them
    end
    local last = figures_between(first, '(' .. stem .. beyond, most - (#answer - 1) / 2, answer)
    if last then
        answer[1] = '(' .. last
        return answer
    end
    from = '(' .. stem .. '\255'
end
answer[1] = from
return answer
