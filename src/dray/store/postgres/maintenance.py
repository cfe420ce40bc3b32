"""Maintenance: what one elected node does for all."""

from __future__ import annotations

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.store.plan import Now, Plan, Query, Ring, Row, reads, repeatable
from dray.store.postgres.leases import LeasePlans
from dray.store.postgres.marks import EXPIRED as PRUNED
from dray.store.sql import maintenance
from dray.store.sql.maintenance import TERM
from dray.store.sql.rows import CANCELLED, EXPIRED, Tally
from dray.store.values import Chores


class MaintenancePlans(LeasePlans, maintenance.MaintenancePlans):
    """The Maintenance protocol over PostgreSQL (`rescue` stands with the leases)."""

    @repeatable
    def elect(self, role: str, node: str) -> Plan[bool]:
        """Take or renew the lead in `role` for 15 seconds; whether `node` has it."""
        params = {"role": role, "node": node, "boot": self.boot, "steady": self.steady_given(), "term": int(TERM * SECOND)}
        return bool((yield Query(self.say.elect, params, alone=True)))

    @reads
    def chores(self) -> Plan[Chores]:
        """What there is to do; one look, without a lock."""
        ((low, _),), _ = self.marks.ask([PRUNED])
        params = {"now": self.now(), "boot": self.boot, "steady": self.steady_given(), "low": low}
        rows: list[Row] = yield Query(self.say.chores, params, alone=True)
        dead, expired, prunable, blocked, until, untidy = rows[0]
        return Chores(dead, expired, prunable, blocked, None if until is None else max(0.0, until / SECOND), untidy)

    def expire(self, limit: int = 1000) -> Plan[int]:
        """Cancel waiting jobs whose time to start is over; how many."""
        now: int = yield Now()
        found: list[Row] = yield Query(self.say.expiring, {"now": now, "n": limit})
        tally = Tally()
        for seq, queue, executor, rank, state in found:
            lane = yield from self.lane(queue, executor, rank)
            params = {"seq": seq, "state": state, "now": now, "reason": EXPIRED, "keep": int(KEEP_CANCELLED * SECOND), "lane": lane}
            if (yield Query(self.say.cancel_waiting, params)):
                tally.move(queue, state, CANCELLED)
        yield from self.write(tally)
        if found:
            yield Ring("done")
        return len(found)

    def prune(self, limit: int = 500) -> Plan[int]:
        """Delete finished jobs whose time to be kept is over, with their history and logs; how many."""
        now: int = yield Now()
        self.marks.see(now, ())
        ((low, _),), sweeps = self.marks.ask([PRUNED])
        gone: list[Row] = yield Query(self.say.prune, {"low": low, "now": now, "n": limit})
        if len(gone) < limit:
            self.marks.emptied(PRUNED, now)
            self.marks.swept(sweeps, 0.2)  # nothing finished comes in behind it, but by a commit that took long
        else:
            self.marks.emptied(PRUNED, max(row[3] for row in gone))
        if not gone:
            return 0
        tally = Tally()
        for _seq, queue, state, _ in gone:
            tally.move(queue, state, None)
        seqs = [row[0] for row in gone]
        yield Query(self.say.history_prune, {"seqs": seqs})
        yield Query(self.say.log_prune, {"seqs": seqs})
        yield from self.write(tally)
        return len(gone)

    def tidy(self) -> Plan[None]:
        """Fold the ledger of the counters."""
        yield Query(self.say.fold, alone=True)
