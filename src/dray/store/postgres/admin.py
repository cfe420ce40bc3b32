"""Admin: where questions and operators' verbs differ from those of other SQL stores: final jobs stand in a table of their own."""

from __future__ import annotations

from collections.abc import Sequence

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.store.plan import Now, Plan, Query, Row, reads
from dray.store.postgres.find import FindPlans
from dray.store.postgres.schedules import SchedulePlans
from dray.store.postgres.settle import keep_of
from dray.store.postgres.text import storable
from dray.store.sql import admin
from dray.store.sql.rows import by_queue
from dray.store.values import Holder, QueueInfo


class AdminPlans(FindPlans, SchedulePlans, admin.AdminPlans):
    """The Admin protocol over PostgreSQL."""

    @reads
    def queues(self) -> Plan[list[QueueInfo]]:
        """Every queue that a job or an operator named."""
        counts = by_queue((yield Query(self.say.counts)))
        stops = {name: (paused, by) for name, paused, by in (yield Query(self.say.queues))}
        found = []
        for name in sorted({*counts, *stops}):
            lanes = [lane for key, lane in self.known.items() if key[0] == name]
            lows = [self.marks.low(lane) for lane in lanes]
            oldest: list[Row] = yield Query(self.say.oldest_ready, {"queue": name, "lanes": lanes, "lows": lows})
            paused, by = stops.get(name, (None, None))
            found.append(QueueInfo(name, counts.get(name, {}), paused, by if paused else None, oldest[0][0]))
        return found

    def pause(self, queue: str, by: str | None = None) -> Plan[None]:
        """Nothing of the queue is claimed any more; jobs that run go on."""
        yield from super().pause(queue, storable(by))

    def _held(self, id_: bytes) -> Plan[Row | None]:
        """A job (seq, state, queue, claim, lane, options), kept as it is until the end of the transaction."""
        for sentence in (self.say.hold_job, self.say.hold_done, self.say.hold_job):  # it may have gone from one to the other
            rows: list[Row] = yield Query(sentence, {"id": id_})
            if rows:
                return rows[0]
        return None

    @reads
    def holder(self, id: bytes) -> Plan[Holder | None]:
        """Who else has locked the row of a job, if anybody has: claims pass it by until that transaction ends."""
        rows: list[Row] = yield Query(self.say.holder, {"id": id})
        return Holder(*rows[0]) if rows else None

    def _cancel_waiting(self, row: Row, now: int, reason: str) -> Plan[None]:
        seq, state, queue, _, lane, options = row
        _, executor, rank, _ = yield from self.way(lane)
        params = {
            "seq": seq, "state": state, "now": now, "reason": storable(reason),
            "keep": int(keep_of(options, KEEP_CANCELLED) * SECOND), "lane": (yield from self.lane(queue, executor, rank)),
        }  # fmt: skip
        yield Query(self.say.cancel_waiting, params)

    def _keep_place(self, seq: int) -> Plan[None]:
        yield from ()  # a sequence never gives a number twice

    def cancel(self, jobs: Sequence[bytes], reason: str = "") -> Plan[dict[bytes, str]]:
        """Cancel in every state. By id: "cancelled", "asked" (it runs and is told), "final" (too late) or "unknown"."""
        return (yield from super().cancel(jobs, storable(reason)))

    def edit(
        self, id: bytes, *, args: bytes | None = None, priority: int | None = None, max_attempts: int | None = None
    ) -> Plan[bool]:
        """Change a job that waits; whether it still did."""
        now: int = yield Now()
        row = yield from self._held(id)
        if row is None:
            return False
        place = row[4]
        if priority is not None:
            queue, executor, _, hold = yield from self.way(place)
            lane = yield from self.lane(queue, executor, -priority, hold)
            place = lane if place > 0 else -lane
        rows: list[Row] = yield Query(
            self.say.edit, {"seq": row[0], "args": args, "lane": place, "max_attempts": max_attempts}
        )
        yield from self.came_back([(lane, due) for lane, due in rows if lane > 0], now)
        return bool(rows)
