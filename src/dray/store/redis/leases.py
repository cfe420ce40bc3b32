"""Leases: which nodes live, and what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from dray.model.clock import SECOND
from dray.model.job import Claimed
from dray.model.lifecycle import Move, decide_for
from dray.model.outcome import Lost
from dray.store.plan import Call, Calls, Plan, Ring, reads, repeatable, within
from dray.store.redis.claim import ClaimPlans
from dray.store.redis.records import claimed_from
from dray.store.sql.leases import RESCUE_BATCH
from dray.store.sql.renewal import LEASE
from dray.store.values import CancelOrder, NodeEntry, Orders


class LeasePlans(ClaimPlans):
    """The Leases protocol over Redis. A node has one number in all shards, and a lease in each."""

    def enter(self, entry: NodeEntry) -> Plan[int]:
        """Register a node; the answer is its id, which no other incarnation ever has."""
        said = msgspec.msgpack.encode([entry.name, entry.host, entry.pid, entry.info])
        args = (self.now(), self.steady(), self.boot(), int(LEASE * SECOND), said)
        node: int = yield Call(self.say.enter, (*args, ""))
        if self.count > 1:
            yield Calls([Call(self.say.enter, (*args, node), shard) for shard in range(1, self.count)])
        return node

    # Before the lease of 15 s is over there must be time for another try on a new connection.
    @within(4.0)
    @repeatable
    def extend(self, nodes: Mapping[int, float]) -> Plan[Orders]:
        """Renew the leases of `nodes`, given with the seconds since each last looked for jobs with success. The answer says who
        is expelled and which running jobs are to be cancelled."""
        told = [n for node, age in nodes.items() for n in (node, int(age * SECOND))]
        args = (self.now(), self.steady(), self.boot(), int(LEASE * SECOND), *told)
        expelled: set[int] = set()
        cancels: dict[int, list[CancelOrder]] = {}
        for shard, (alive, found) in enumerate((yield from self.every(self.say.extend, args))):
            expelled |= set(nodes) - set(alive)
            self._orders(found, shard, cancels)
        return Orders(frozenset(expelled), {node: found for node, found in cancels.items() if node not in expelled})

    @reads
    @within(4.0)
    def orders(self, node: int) -> Plan[list[CancelOrder]]:
        """Which jobs of `node` are to be cancelled."""
        cancels: dict[int, list[CancelOrder]] = {}
        for shard, found in enumerate((yield from self.every(self.say.orders, (node,)))):
            self._orders(found, shard, cancels)
        return cancels.get(node, [])

    def _orders(self, flat: list[Any], shard: int, into: dict[int, list[CancelOrder]]) -> None:
        for node, seq, claim, reason in zip(*[iter(flat)] * 4, strict=True):
            order = CancelOrder(self.outer(seq, shard), claim, reason.decode("utf-8", "replace"))
            into.setdefault(node, []).append(order)

    @repeatable
    def stopping(self, node: int) -> Plan[None]:
        """Show that a node takes no more jobs."""
        yield from self.every(self.say.stopping, (node,))

    @repeatable
    def leave(self, node: int) -> Plan[None]:
        """End a node that has nothing left; what it should still hold goes back uncounted."""
        yield from self._end(node, "", frozenset())

    @repeatable
    def bury(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        """End a node that died of `cause`. Of its jobs those in `started` (seq, claim) are lost, the others go back
        uncounted; None: it is not known which had started, all are lost. The answer: what became of the lost."""
        return (yield from self._end(node, cause, started))

    @repeatable
    def rescue(self) -> Plan[list[Move]]:
        """End the nodes whose lease has run out; the answer: what became of their jobs."""
        moves: list[Move] = []
        when = (self.now(), self.steady(), self.boot())
        answers = yield from self.every(self.say.dead, when)
        for node, said in self._dead(answers).items():
            # Asked again in the deletion itself: it may have been renewed in between.
            left = yield from self.every(self.say.leave, (node, *when))
            name, host, pid, _ = msgspec.msgpack.decode(said)
            cause = f"the lease of worker {name} (process {pid} on {host}) ran out"
            moves += yield from self._give_away(node, cause, None, [shard for shard, gone in enumerate(left) if gone])
        for shard, (_, orphaned) in enumerate(answers):
            for node in orphaned:
                moves += yield from self._give_away(node, "its worker is not known to the store", None, [shard])
        return moves

    def _dead(self, answers: Sequence[Any]) -> dict[int, bytes]:
        """Whose lease has run out in all shards: a claim renews it where it claims only. With what is known of each."""
        said = {node: words for dead, _ in answers for node, words in zip(dead[::2], dead[1::2], strict=True)}
        return {node: words for node, words in said.items() if all(node in dead[::2] for dead, _ in answers)}

    def reclaim(self, node: int, held: Collection[tuple[int, int]]) -> Plan[int]:
        """Give back what `node` runs according to the store without knowing of it (the answer to its claim was lost): all but
        `held`, by (seq, claim). How many there were; their attempts do not count."""
        running = yield from self._running(node, len(held) + RESCUE_BATCH, range(self.count))
        strange = [job for job in running if (job.seq, job.claim) not in held]
        yield from self.release(strange)
        return len(strange)

    def _running(self, node: int, most: int, shards: Sequence[int]) -> Plan[list[Claimed]]:
        if not shards:
            return []
        found = []
        answers = yield Calls([Call(self.say.running_of, (node, most), shard) for shard in shards])
        for shard, flat in zip(shards, answers, strict=True):
            found += [
                claimed_from(self.outer(seq, shard), body, live)
                for seq, body, live in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            ]
        return found

    def _end(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        yield from self.every(self.say.leave, (node,))
        return (yield from self._give_away(node, cause, started, range(self.count)))

    def _give_away(
        self, node: int, cause: str, started: Collection[tuple[int, int]] | None, shards: Sequence[int]
    ) -> Plan[list[Move]]:
        """Give others what a node runs that is no more in these shards."""
        lost: list[Move] = []
        while True:
            jobs = yield from self._running(node, RESCUE_BATCH, shards)
            if not jobs:
                break
            moves = [decide_for(job, Lost(cause)) for job in jobs if started is None or (job.seq, job.claim) in started]
            gone = {move.seq for move in moves}
            yield from self.release([job for job in jobs if job.seq not in gone])
            stale = yield from self.settle(moves)
            lost += [move for move in moves if move.seq not in stale]
        if lost:
            yield Ring("work")
        return lost
