"""Leases: which nodes live, and what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from dray.model.clock import SECOND
from dray.model.lifecycle import Move, decide_for
from dray.model.outcome import Lost
from dray.store.plan import Now, Plan, Query, Ring, Row, Steady, reads
from dray.store.sql.renewal import LEASE, extend_params
from dray.store.sql.rows import claimed_from
from dray.store.sql.sentences import Sentences
from dray.store.values import CancelOrder, NodeEntry, Orders

RESCUE_BATCH = 500


class LeasePlans:
    """The Leases protocol over SQL."""

    say: Sentences

    def enter(self, entry: NodeEntry) -> Plan[int]:
        """Register a node; the answer is its id, which no other incarnation ever has."""
        now: int = yield Now()
        boot, steady = yield Steady()
        rows: list[Row] = yield Query(
            self.say.enter,
            {
                "name": entry.name, "host": entry.host, "pid": entry.pid, "boot": boot, "until": steady + int(LEASE * SECOND),
                "now": now, "info": msgspec.json.encode(entry.info),
            },
        )  # fmt: skip
        return int(rows[0][0])

    def extend(self, nodes: Mapping[int, float]) -> Plan[Orders]:
        """Renew the leases of `nodes`, given with the seconds since each last looked for jobs with success. The answer says who
        is expelled and which running jobs are to be cancelled."""
        now: int = yield Now()
        boot, steady = yield Steady()
        expelled: set[int] = set()
        cancels: dict[int, list[CancelOrder]] = {}
        for node, age in nodes.items():
            alive: list[Row] = yield Query(self.say.extend, extend_params(node, age, now, boot, steady))
            if not alive:
                expelled.add(node)
                continue
            found = yield from self._orders(node)
            if found:
                cancels[node] = found
        return Orders(frozenset(expelled), cancels)

    @reads
    def orders(self, node: int) -> Plan[list[CancelOrder]]:
        """Which jobs of `node` are to be cancelled."""
        return (yield from self._orders(node))

    def _orders(self, node: int) -> Plan[list[CancelOrder]]:
        rows: list[Row] = yield Query(self.say.orders, {"node": node})
        return [CancelOrder(seq, claim, reason or "") for seq, claim, reason in rows]

    def stopping(self, node: int) -> Plan[None]:
        """Show that a node takes no more jobs."""
        yield Query(self.say.node_stopping, {"node": node})

    def leave(self, node: int) -> Plan[None]:
        """End a node that has nothing left; what it should still hold goes back uncounted."""
        yield from self._end(node, "", frozenset())

    def bury(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        """End a node that died of `cause`. Of its jobs those in `started` (seq, claim) are lost, the others go back
        uncounted; None: it is not known which had started, all are lost. The answer: what became of the lost."""
        return (yield from self._end(node, cause, started))

    def rescue(self) -> Plan[list[Move]]:
        """End the nodes whose lease has run out; the answer: what became of their jobs."""
        boot, steady = yield Steady()
        dead: list[Row] = yield Query(self.say.nodes_expired, {"boot": boot, "steady": steady})
        moves: list[Move] = []
        for node, name, host, pid in dead:
            cause = f"the lease of worker {name} (process {pid} on {host}) ran out"
            moves += yield from self._end(node, cause, None)
        for (node,) in (yield Query(self.say.nodes_orphaned)):
            moves += yield from self._end(node, "its worker is not known to the store", None)
        return moves

    def reclaim(self, node: int, held: Collection[tuple[int, int]]) -> Plan[int]:
        """Give back what `node` runs according to the store without knowing of it (the answer to its claim was lost): all but
        `held`, by (seq, claim). How many there were; their attempts do not count."""
        rows: list[Row] = yield Query(self.say.running_of, {"node": node, "n": len(held) + RESCUE_BATCH})
        strange = [job for job in (claimed_from(row[:-2]) for row in rows) if (job.seq, job.claim) not in held]
        if strange:
            yield from self.release(strange)  # type: ignore[attr-defined]
        return len(strange)

    def _end(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        yield Query(self.say.leave, {"node": node})
        return (yield from self._give_away(node, cause, started))

    def _give_away(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        """Give others what a node runs that is no more."""
        lost: list[Move] = []
        while True:
            rows: list[Row] = yield Query(self.say.running_of, {"node": node, "n": RESCUE_BATCH})
            if not rows:
                break
            jobs = [claimed_from(row[:-2]) for row in rows]
            moves = [decide_for(job, Lost(cause)) for job in jobs if started is None or (job.seq, job.claim) in started]
            gone = {move.seq for move in moves}
            yield from self.release([job for job in jobs if job.seq not in gone])  # type: ignore[attr-defined]
            if moves:
                yield from self.settle(moves)  # type: ignore[attr-defined]
            lost += moves
        if lost:
            yield Ring("work")
        return lost
