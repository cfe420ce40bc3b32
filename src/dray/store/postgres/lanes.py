"""Lanes: where a job stands, and which there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from dray.model.clock import Clock
from dray.store.plan import Apart, Plan, Query, Row
from dray.store.postgres.marks import LATE, Marks
from dray.store.sql.rows import Tally
from dray.store.sql.sentences import Sentences

if TYPE_CHECKING:
    from dray.model.job import NewJob

Key = tuple[str, int, int, str]  # queue, executor, rank, hold


class LanePlans:
    """Finding and making lanes. What is remembered is only ever what is committed."""

    say: Sentences
    clock: Clock | None  # of a test; None is the server's
    marks: Marks
    known: dict[Key, int]
    ways: dict[int, Key]

    def now(self) -> int | None:
        """The time to give to a sentence that would else ask the server's clock itself."""
        return None if self.clock is None else self.clock.wall()

    def steady_given(self) -> int | None:
        """The same for leases."""
        return None if self.clock is None else self.clock.steady()

    def steady_at(self, now: int) -> int:
        """The time that leases are measured by, when the store's time is `now`."""
        return now if self.clock is None else self.clock.steady()

    @property
    def boot(self) -> str:
        """Names the clock that leases are measured by."""
        return "server" if self.clock is None else self.clock.boot

    def write(self, tally: Tally) -> Plan[None]:
        """Write what has been counted."""
        changes = [(queue, state, n) for (queue, state), n in tally.changes() if n]
        if changes:
            queues, states, ns = zip(*changes, strict=True)
            yield Query(self.say.ledger, {"queues": list(queues), "states": list(states), "ns": list(ns)}, quiet=True)

    def lane(self, queue: str, executor: int, rank: int, hold: str = "") -> Plan[int]:
        """The number of a lane, which is made if there is none."""
        key = (queue, executor, rank, hold)
        if key not in self.known:
            found = yield from self.lanes_of([key])
            return found[key]
        return self.known[key]

    def lanes_of(self, keys: Iterable[Key]) -> Plan[dict[Key, int]]:
        """The numbers of several lanes."""
        keys = list(keys)
        missing = [key for key in keys if key not in self.known]
        if not missing:
            return {key: self.known[key] for key in keys}
        # In a transaction of its own: nobody shall wait for ours (which may be the caller's, and long) to know a lane, and what is
        # remembered must not depend on whether ours is committed.
        made, committed = yield Apart(self.make_lanes, missing)
        if committed:
            for key, lane in made.items():
                self.remember(lane, key)
        return {key: made[key] if key in made else self.known[key] for key in keys}

    def make_lanes(self, keys: Collection[Key]) -> Plan[dict[Key, int]]:
        """Make the lanes that do not exist; the numbers of all."""
        made: dict[Key, int] = {}
        for key in sorted(keys):
            queue, executor, rank, hold = key
            params = {"queue": queue, "executor": executor, "rank": rank, "hold": hold}
            while key not in made:  # each statement sees what others have committed until then
                rows: list[Row] = yield Query(self.say.lane_of, params)
                if rows:
                    made[key] = rows[0][0]
                else:
                    yield Query(self.say.lane_add, params)
        return made

    def remember(self, lane: int, key: Key) -> None:
        """A lane that is committed."""
        self.known[key] = lane
        self.ways[lane] = key

    def way(self, lane: int) -> Plan[Key]:
        """What a lane is: queue, executor, rank and hold."""
        key = self.ways.get(abs(lane))
        if key is None:
            rows: list[Row] = yield Query(self.say.lane_with, {"lane": abs(lane)})
            queue, executor, rank, hold = rows[0]
            return queue, executor, rank, hold
        return key

    def came_back(self, places: Collection[tuple[int, int]], now: int) -> Plan[None]:
        """Jobs stand in lanes (lane, due) that may have been taken from beyond that already: let everybody know."""
        lows: dict[int, int] = {}
        for lane, due in places:
            self.marks.came_back(lane, due)
            if due < now - LATE:
                lows[lane] = min(due, lows.get(lane, due))
        if lows:
            lanes = sorted(lows)
            yield Query(self.say.lanes_turned, {"lanes": lanes, "lows": [lows[lane] for lane in lanes], "now": now})


def key_of(job: NewJob) -> Key:
    """Where a new job stands."""
    return job.queue, int(job.executor), -job.priority, ""
