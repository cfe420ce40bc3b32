--@ use: move
-- Whether a claim is valid. ARGV: number, claim.
return held(tonumber(ARGV[1]), tonumber(ARGV[2])) and 1 or 0
