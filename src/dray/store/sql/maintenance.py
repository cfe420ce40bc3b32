"""Maintenance: what one elected node does for all."""

from __future__ import annotations

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.store.plan import Many, Now, Plan, Query, Ring, Row, Steady, reads
from dray.store.sql.rows import CANCELLED, EXPIRED, Tally
from dray.store.sql.sentences import Sentences
from dray.store.values import Chores

TERM = 15.0  # seconds that an election is good for


class MaintenancePlans:
    """The Maintenance protocol over SQL (`rescue` stands with the leases)."""

    say: Sentences

    def elect(self, role: str, node: str) -> Plan[bool]:
        """Take or renew the lead in `role` for 15 seconds; whether `node` has it."""
        boot, steady = yield Steady()
        rows: list[Row] = yield Query(
            self.say.elect,
            {"role": role, "node": node, "boot": boot, "until": steady + int(TERM * SECOND), "steady": steady},
        )
        return bool(rows)

    def resign(self, role: str, node: str) -> Plan[None]:
        """Give the lead back."""
        yield Query(self.say.resign, {"role": role, "node": node})

    def promote(self) -> Plan[int]:
        """Make ready what has become due; how many there were, at most 1000 at once."""
        now: int = yield Now()
        tally = Tally()
        yield from self._promote(now, tally)  # type: ignore[attr-defined]
        moved = -sum(n for (_, state), n in tally.changes() if state == 0)
        yield from tally.write(self.say.tally)
        if moved:
            yield Ring("work")
        return moved

    @reads
    def chores(self) -> Plan[Chores]:
        """What there is to do; takes no lock."""
        now: int = yield Now()
        boot, steady = yield Steady()
        say = self.say
        dead = bool((yield Query(say.nodes_expired, {"boot": boot, "steady": steady}))) or bool((yield Query(say.nodes_orphaned)))
        expired = bool((yield Query(say.expiring, {"now": now, "n": 1})))
        prunable = bool((yield Query(say.prunable, {"now": now})))
        blocked = bool((yield Query(say.blocked_schedules)))
        rows: list[Row] = yield Query(say.schedule_next)
        tick = None if rows[0][0] is None else max(0.0, (rows[0][0] - now) / SECOND)
        return Chores(dead, expired, prunable, blocked, tick)

    def tidy(self) -> Plan[None]:
        """Nothing: this store needs no more care."""
        yield from ()

    def expire(self, limit: int = 1000) -> Plan[int]:
        """Cancel waiting jobs whose time to start is over; how many."""
        now: int = yield Now()
        found: list[Row] = yield Query(self.say.expiring, {"now": now, "n": limit})
        tally = Tally()
        for seq, _queue, state in found:
            params = {
                "seq": seq, "state": state, "now": now, "reason": EXPIRED,
                "keep": KEEP_CANCELLED,
            }  # fmt: skip
            for (queue,) in (yield Query(self.say.cancel_waiting, params)):
                tally.move(queue, state, CANCELLED)
        yield from tally.write(self.say.tally)
        if found:
            yield Ring("done")
        return len(found)

    def prune(self, limit: int = 500) -> Plan[int]:
        """Delete finished jobs whose time to be kept is over, with their history and logs; how many."""
        now: int = yield Now()
        gone: list[Row] = yield Query(self.say.prune, {"now": now, "n": limit})
        if not gone:
            return 0
        tally = Tally()
        for _seq, queue, state in gone:
            tally.move(queue, state, None)
        keys = [(seq,) for seq, _, _ in gone]
        yield Many(self.say.prune_job, keys)
        yield Many(self.say.prune_history, keys)
        yield Many(self.say.prune_log, keys)
        yield Query(self.say.keep_place, {"seq": max(seq for seq, _, _ in gone)})
        yield from tally.write(self.say.tally)
        return len(gone)
