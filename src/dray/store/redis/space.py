"""How much room the keys take."""

from __future__ import annotations

from dray.store.plan import Plan, reads
from dray.store.redis.shards import ShardPlans
from dray.store.values import Space

SERVER = "(server)"


class SpacePlans(ShardPlans):
    """The question for space over Redis."""

    @reads
    def space(self) -> Plan[list[Space]]:
        """The keys of all shards by their name, the largest first, with their elements; what all servers together have in use, by
        whomever, as "(server)". Sizes are told by the server from a few elements of each key."""
        keys = self.say.space.keys
        rows, sizes = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
        used: dict[bytes, int] = {}
        for server, memory, *told in (yield from self.every(self.say.space, ())):
            used[server] = memory
            for name, n, size in zip(keys, told[::2], told[1::2], strict=True):
                rows[name] += n
                sizes[name] += size
        found = [Space(name, rows[name], sizes[name]) for name in keys if rows[name]]
        found.sort(key=lambda space: -(space.size or 0))
        return [*found, Space(SERVER, None, sum(used.values()) or None)]
