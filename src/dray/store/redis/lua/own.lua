--@ use: move
-- Whether a claim is valid. ARGV: number, claim, start.
return held(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])) and 1 or 0
