--@ use: job
-- What can be tested of a filter (see dray.store.sieve). `states` and `queues` are sets, or missing; `checks` a list of tables whose
-- first field says what they are; `now` the time.
local function set_of(list)
    local set = {}
    for _, one in ipairs(list) do
        set[one] = true
    end
    return set
end

local function bytes_of(hex)
    return (string.gsub(hex, '..', function(digits)
        return string.char(tonumber(digits, 16))
    end))
end

local function opened(blob)
    local what = cmsgpack.unpack(blob)
    for _, check in ipairs(what.checks) do
        if check[1] == 'identified' then
            for i, range in ipairs(check[3]) do
                check[3][i] = {bytes_of(range[1]), bytes_of(range[2])}
            end
        end
    end
    what.states = what.states and set_of(what.states)
    what.queues = what.queues and set_of(what.queues)
    return what
end

-- Whether a job may be in one of the states, as far as its live string tells (false: it has none, as nothing has happened to it).
local function may_be(what, told)
    if not what.states then
        return true
    end
    if told then
        return what.states[string.byte(told, 1)]
    end
    return what.states[READY] or what.states[SCHEDULED]
end

-- (Lua compares texts by the rules of some language, not by their bytes.)
local function below(a, b)
    for i = 1, 16 do
        local x, y = string.byte(a, i), string.byte(b, i)
        if x ~= y then
            return x < y
        end
    end
    return false
end

local function is_way(text, ways)
    for _, way in ipairs(ways) do
        local how, literal = way[1], way[2]
        if how == 'is' then
            if text == literal then
                return true
            end
        elseif literal == '' or how == 'starts' and string.sub(text, 1, #literal) == literal
            or how == 'ends' and string.sub(text, -#literal) == literal
            or how == 'has' and string.find(text, literal, 1, true) then
            return true
        end
    end
    return false
end

local function measured(job, column, now)
    if column == 'attempt' then
        return job.attempt
    elseif column == 'priority' then
        return -job.rank
    elseif column == 'enqueued' then
        return job.enqueued
    elseif column == 'took' then
        if job.started == 0 then
            return nil
        end
        return job.finished > 0 and job.finished - job.started or job.state == RUNNING and now - job.started or nil
    end
    return math.max(0, (job.started > 0 and job.started or job.finished > 0 and job.finished or now) - job.due)
end

local function within(n, ranges)
    for _, range in ipairs(ranges) do
        if (range[1] == false or n >= range[1]) and (range[2] == false or n <= range[2]) then
            return true
        end
    end
    return false
end

local function between(id, ranges)
    for _, range in ipairs(ranges) do
        if not below(id, range[1]) and not below(range[2], id) then
            return true
        end
    end
    return false
end

local function holds(text, needles, from)
    for _, needle in ipairs(needles) do
        if string.find(text, needle, from, true) then
            return true
        end
    end
    return false
end

-- Whether a job passes all checks. `error_of` gives its error, or false.
local function passes(what, job, error_of)
    if what.states and not what.states[job.state] or what.queues and not what.queues[job.queue] then
        return false
    end
    local schedule, _, tags, parent, rest
    for _, check in ipairs(what.checks) do
        local kind, column, list = check[1], check[2], check[3]
        if not rest and column ~= 'task' then
            schedule, _, tags, parent, rest = struct.unpack('>Hc0I4c0I4c0Bc0', job.raw, job.tail)
        end
        local good
        if kind == 'named' then
            local text = column == 'task' and job.task or schedule
            good = (column == 'task' or text ~= '') and is_way(text, list)
            if check[4] then
                good = not good
            end
        elseif kind == 'counted' then
            local n = measured(job, column, what.now)
            good = n and within(n, list)
        elseif kind == 'holding' then
            good = column == 'tags' and holds(tags, list, 1) or (column == 'args' or column == 'either') and holds(job.raw, list, rest)
            if not good and (column == 'error' or column == 'either') then
                local error = error_of()
                good = error and holds(error, list, 1)
            end
        elseif kind == 'identified' then
            local id = column == 'id' and job.id or parent
            good = id ~= '' and between(id, list)
        else
            good = within(job.node, list) and job.node > 0
        end
        if not good then
            return false
        end
    end
    return true
end
