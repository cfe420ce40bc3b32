--@ keys: figures figure_times
-- A row of figures is a member: span (4 bytes), when it began (8), kind, name and source. Its data stand in a hash.
local STEM = 12 -- bytes of span and time

-- Add to `answer` what stands from `from` to `to`, at most `most` rows; the last of them, if there were as many.
local function figures_between(from, to, most, answer)
    local members = redis.call('ZRANGEBYLEX', k_figure_times, from, to, 'LIMIT', 0, most)
    if #members > 0 then
        local datas = redis.call('HMGET', k_figures, unpack(members))
        for i, member in ipairs(members) do
            answer[#answer + 1], answer[#answer + 2] = member, datas[i]
        end
    end
    return #members == most and members[#members] or nil
end
