--@ keys: figures figure_times
-- A row of figures is a member: span (4 bytes), when it began (8), kind, name and source. Its data stand in a hash.
local STEM = 12 -- bytes of span and time

-- The answer with some rows, at most 1000: where to go on, then key and data of each.
local function figures_told(place, members)
    local answer = {place}
    if #members > 0 then
        for i, data in ipairs(redis.call('HMGET', k_figures, unpack(members))) do
            answer[2 * i], answer[2 * i + 1] = members[i], data
        end
    end
    return answer
end
