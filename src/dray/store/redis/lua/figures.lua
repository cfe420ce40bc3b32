--@ use: figures
-- The rows of one kind, or of one name, in a while. ARGV: from where and until where to look, what the kind (and the name) begin with,
-- how many rows and how many looks at most. Answer: where to go on ('' at the end), then key and data of each.
local from, to, lane, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local span, at = struct.unpack('>I4d', from, 2)
local stem = string.sub(from, 2, STEM + 1) -- the moment that is looked at
local found, n, few = {}, 0, 2
if #from == STEM + 1 then
    from = from .. lane
end
for _ = 1, tonumber(ARGV[5]) do
    local members = redis.call('ZRANGEBYLEX', k_figure_times, from, to, 'LIMIT', 0, math.min(few, most - #found))
    local head, other = stem .. lane, nil
    for _, member in ipairs(members) do
        if string.sub(member, 1, #head) ~= head then
            other = string.sub(member, 1, STEM)
            break
        end
        found[#found + 1] = member
        n = n + 1
    end
    if not other then
        if #members == 0 then
            return figures_told('', found)
        end
        from, few = '(' .. members[#members], few * 2
    else
        if other == stem and span > 0 then -- it has nothing more of ours: the next moment is one span later
            stem = struct.pack('>I4d', span, at + span * 1000000)
        elseif other == stem then
            local next_ = redis.call('ZRANGEBYLEX', k_figure_times, '(' .. stem .. '\255', to, 'LIMIT', 0, 1)[1]
            if not next_ then
                return figures_told('', found)
            end
            stem = string.sub(next_, 1, STEM)
        else
            stem = other
        end
        _, at = struct.unpack('>I4d', stem)
        from, few, n = '[' .. stem .. lane, n + 2, 0
    end
    if #found == most then
        break
    end
end
return figures_told(from, found)
