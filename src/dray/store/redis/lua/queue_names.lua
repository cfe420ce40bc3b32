--@ keys: queues
-- The queues of which operators said something.
return redis.call('HKEYS', k_queues)
