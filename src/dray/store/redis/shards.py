"""What all plans stand on: scripts, shards, and how numbers and ids tell the shard that they belong to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from dray.model.clock import Clock
from dray.store.plan import Call, Calls, Plan
from dray.store.redis.scripts import Scripts

T = TypeVar("T")

SHARD_BITS = 0x3FFF  # of an id: see dray.model.ids
RUNG_FOR = 0.005  # seconds
#: How many jobs one script sees to, so that it takes some 2 ms with a million jobs around: nobody else is served meanwhile.
AT_ONCE = 200  # where it is the same for all of them
FEW_AT_ONCE = 100  # where each of them is put elsewhere by itself


class ShardPlans:
    """`clock` is for tests; None is the server's. `count`: over how many shards the jobs are spread."""

    say: Scripts
    count: int
    clock: Clock | None
    bell: str  # what the names of the channels begin with
    rung_until = 0.0  # monotonic
    claims: dict[tuple[int, int], int]  # that this process has made and not settled, and when it was (the server's time)

    # -- time

    def now(self) -> str | int:
        """The time as scripts want it."""
        return "" if self.clock is None else self.clock.wall()

    def steady(self) -> str | int:
        """The time that leases are measured by."""
        return "" if self.clock is None else self.clock.steady()

    def boot(self) -> str:
        """What the latter counts from; the server's clock needs no name."""
        return "" if self.clock is None else self.clock.boot

    # -- claims

    def began(self, seq: int, claim: int) -> int:
        """When a claim of this process was made; 0: it is not one."""
        return self.claims.get((seq, claim), 0)

    # -- waking

    def channels(self) -> str:
        """What the names of the channels begin with, as scripts want it; "" if nobody need be woken."""
        return "" if time.monotonic() < self.rung_until else self.bell

    def rung(self, woken: int) -> None:
        """So many listeners were woken: for a moment that need not be done again, as they look for more before they sleep."""
        if woken:
            self.rung_until = time.monotonic() + RUNG_FOR

    # -- shards

    def shard_of(self, id: bytes) -> int:
        """Where a job is: its id says so. Ids that name no shard are spread by their random bits."""
        if self.count == 1:
            return 0
        named = int.from_bytes(id[8:10], "big") & SHARD_BITS
        return (named - 1 if named else int.from_bytes(id[12:16], "big")) % self.count

    def outer(self, seq: int, shard: int) -> int:
        """The number of a job within the whole store, from its number within a shard."""
        return seq * self.count + shard

    def inner(self, seq: int) -> tuple[int, int]:
        """The opposite: shard, and number within it."""
        local, shard = divmod(seq, self.count)
        return shard, local

    def every(self, script: Any, args: Sequence[bytes | str | int]) -> Plan[list[Any]]:
        """The answers of all shards to one script."""
        if self.count == 1:
            return [(yield Call(script, args))]
        return (yield Calls([Call(script, args, shard) for shard in range(self.count)]))  # type: ignore[no-any-return]

    def by_shard(self, ids: Iterable[bytes]) -> dict[int, list[bytes]]:
        """Ids by their shard."""
        found: dict[int, list[bytes]] = {}
        for id_ in ids:
            found.setdefault(self.shard_of(id_), []).append(id_)
        return found


def lots(items: Sequence[T], size: int = FEW_AT_ONCE) -> list[Sequence[T]]:
    """`items` in lots that one script sees to."""
    return [items[at : at + size] for at in range(0, len(items), size)]
