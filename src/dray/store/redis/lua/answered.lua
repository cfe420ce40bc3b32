--@ keys: answers
-- What a node answered last. ARGV: node.
return redis.call('HGET', k_answers, ARGV[1])
