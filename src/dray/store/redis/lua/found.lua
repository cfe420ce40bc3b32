--@ keys: body
--@ use: whole
-- Everything of some jobs. ARGV: their numbers. Those that are not kept any more are left out.
local answer = {}
for _, seq in ipairs(ARGV) do
    if redis.call('HEXISTS', k_body, seq) == 1 then
        answer[#answer + 1] = whole(tonumber(seq))
    end
end
return answer
