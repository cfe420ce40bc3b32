"""Leases: which nodes live, and what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dray.model.clock import SECOND
from dray.model.lifecycle import Move
from dray.store.plan import Plan, Query, Row, Steady, reads, repeatable, within
from dray.store.postgres.claim import ClaimPlans
from dray.store.sql import leases
from dray.store.sql.renewal import LEASE
from dray.store.values import CancelOrder, Orders


class LeasePlans(ClaimPlans, leases.LeasePlans):
    """The Leases protocol over PostgreSQL."""

    # Before the lease of 15 s is over there must be time for another try on a new connection.
    @within(4.0)
    @repeatable
    def extend(self, nodes: Mapping[int, float]) -> Plan[Orders]:
        """Renew the leases of `nodes`, given with the seconds since each last looked for jobs with success. The answer says who
        is expelled and which running jobs are to be cancelled."""
        rows: list[Row] = yield Query(
            self.say.extend,
            {
                "now": self.now(), "steady": self.steady_given(), "lease": int(LEASE * SECOND), "boot": self.boot,
                "nodes": list(nodes), "ages": [int(age * SECOND) for age in nodes.values()],
            },
            alone=True,
        )  # fmt: skip
        cancels: dict[int, list[CancelOrder]] = {}
        for node, seq, claim, reason in rows:
            if seq is not None:
                cancels.setdefault(node, []).append(CancelOrder(seq, claim, reason or ""))
        return Orders(frozenset(nodes) - {row[0] for row in rows}, cancels)

    @reads
    @within(4.0)
    def orders(self, node: int) -> Plan[list[CancelOrder]]:
        """Which jobs of `node` are to be cancelled."""
        return (yield from self._orders(node))

    def rescue(self) -> Plan[list[Move]]:
        """End the nodes whose lease has run out; the answer: what became of their jobs."""
        boot, steady = yield Steady()
        dead: list[Row] = yield Query(self.say.nodes_expired, {"boot": boot, "steady": steady})
        moves: list[Move] = []
        for node, name, host, pid in dead:
            # Asked again in the deletion itself: it may have been renewed in between.
            if (yield Query(self.say.leave_dead, {"node": node, "boot": boot, "steady": steady})):
                moves += yield from self._give_away(node, f"the lease of worker {name} (process {pid} on {host}) ran out", None)
        yield Query(self.say.walk)
        for (node,) in (yield Query(self.say.nodes_orphaned)):
            moves += yield from self._give_away(node, "its worker is not known to the store", None)
        return moves

    def reclaim(self, node: int, held: Collection[tuple[int, int]]) -> Plan[int]:
        """Give back what `node` runs according to the store without knowing of it, as the answer to a claim was lost."""
        yield Query(self.say.walk)
        return (yield from super().reclaim(node, held))

    def _end(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        # Deleting the node waits for a claim of it that is under way; what it has claimed is then seen by what follows.
        if not (yield Query(self.say.leave, {"node": node})):
            return []  # others were faster
        return (yield from self._give_away(node, cause, started))

    def _give_away(self, node: int, cause: str, started: Collection[tuple[int, int]] | None) -> Plan[list[Move]]:
        yield Query(self.say.walk)
        return (yield from super()._give_away(node, cause, started))
