"""Maintenance: what one elected node does for all."""

from __future__ import annotations

import logging
import time

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.store.plan import Call, Plan, Ring, reads, repeatable
from dray.store.redis.claim import PROMOTE_AT_ONCE
from dray.store.redis.leases import LeasePlans
from dray.store.redis.shards import FEW_AT_ONCE
from dray.store.sql.maintenance import TERM
from dray.store.sql.rows import EXPIRED
from dray.store.values import Chores

log = logging.getLogger("dray.redis")

PROMOTED = 1000
CHECK_AT_ONCE = 200
CHECK_FOR = 0.02  # seconds of one round of checks
SWEEP_AT_ONCE = 2000
SWEEP_FOR = 0.2  # seconds of one round of sweeps: with a million jobs once around in about a minute
STRUCTURES = 10  # see dangling.lua
CHECK_PAUSE = 20.0  # seconds from the end of one walk over all jobs to the begin of the next


class MaintenancePlans(LeasePlans):
    """The Maintenance protocol over Redis (`rescue` stands with the leases)."""

    checked: dict[int, bytes]  # how far the check has come in each shard
    check_at = 0.0  # monotonic
    sweep = (0, 1, b"")  # shard, structure, and how far the sweep has come there
    sweep_at = 0.0  # monotonic

    @repeatable
    def elect(self, role: str, node: str) -> Plan[bool]:
        """Take or renew the lead in `role` for 15 seconds; whether `node` has it."""
        args = (self.now(), self.steady(), self.boot(), role, node, int(TERM * SECOND))
        return bool((yield Call(self.say.elect, args)))

    @repeatable
    def resign(self, role: str, node: str) -> Plan[None]:
        """Give the lead back."""
        yield Call(self.say.resign, (role, node))

    @reads
    def chores(self) -> Plan[Chores]:
        """What there is to do; one look."""
        answers = yield from self.every(self.say.chores, (self.now(), self.steady(), self.boot()))
        dead, expired, prunable, blocked = (any(answer[n] for answer in answers) for n in range(4))
        tick, now = answers[0][4:]
        until = None if tick < 0 else max(0.0, (tick - now) / SECOND)
        untidy = self.clock is None and time.monotonic() >= min(self.check_at, self.sweep_at)
        return Chores(dead, expired, prunable, blocked, until, untidy)

    def promote(self) -> Plan[int]:
        """Make ready what has become due; how many there were; it ends after a thousand."""
        moved, last = 0, 1
        while last and moved < PROMOTED:
            last = sum((yield from self.every(self.say.promote, (self.now(), self.bell, PROMOTE_AT_ONCE))))
            moved += last
        if moved:
            yield Ring("work")
        return moved

    def expire(self, limit: int = 1000) -> Plan[int]:
        """Cancel waiting jobs whose time to start is over; how many."""
        total = 0
        for shard in range(self.count):
            while total < limit:
                n = min(FEW_AT_ONCE, limit - total)
                args = (self.now(), self.bell, int(KEEP_CANCELLED * SECOND), EXPIRED, n)
                ended: int = yield Call(self.say.expire, args, shard)
                total += ended
                if ended < n:
                    break
        if total:
            yield Ring("done")
        return total

    def prune(self, limit: int = 500) -> Plan[int]:
        """Delete finished jobs whose time to be kept is over, with their history and logs; how many."""
        total = 0
        for shard in range(self.count):
            while total < limit:
                n = min(FEW_AT_ONCE, limit - total)
                gone: int = yield Call(self.say.prune, (self.now(), n), shard)
                total += gone
                if gone < n:
                    break
        return total

    def tidy(self) -> Plan[None]:
        """Go a part of the way over all references and over all jobs, and see whether each has its data, and is in its place:
        nothing that is kept may be out of reach."""
        if time.monotonic() >= self.sweep_at:
            yield from self._sweep(time.monotonic() + SWEEP_FOR)
        if time.monotonic() < self.check_at:
            return
        until = time.monotonic() + CHECK_FOR
        for shard in range(self.count):
            while shard not in self.checked or self.checked[shard]:
                args = (self.checked.get(shard, b""), CHECK_AT_ONCE)
                last, mended, empty = yield Call(self.say.check, args, shard)
                self.checked[shard] = last
                if mended or empty:
                    log.error(
                        "%d jobs were not in their place and are again, %d ids had no data and are forgotten: the server has lost "
                        "writes, by a failover or by hand", mended, empty,
                    )  # fmt: skip
                if time.monotonic() >= until:
                    return
        self.checked.clear()
        self.check_at = time.monotonic() + CHECK_PAUSE

    def _sweep(self, until: float) -> Plan[None]:
        shard, which, place = self.sweep
        while True:
            place, gone = yield Call(self.say.dangling, (which, place, SWEEP_AT_ONCE), shard)
            if gone:
                log.error("%d references to jobs that are not there were removed: the server has lost writes", gone)
            if not place:
                which += 1
                if which > STRUCTURES:
                    which, shard = 1, shard + 1
                if shard == self.count:
                    self.sweep = (0, 1, b"")
                    self.sweep_at = time.monotonic() + CHECK_PAUSE
                    return
            self.sweep = (shard, which, place)
            if time.monotonic() >= until:
                return
