"""Low-water marks: from where on a lane need be looked at.

What has been taken from a lane leaves dead entries in its index, and while some transaction elsewhere in the database stays open
they cannot be removed: after half a million of them every look would take 50 ms. So each process remembers how far it has taken,
and looks from there. A mark is only a hint. What may come in behind it: a transaction that enqueued and committed late, and a job
that was given back. For the first there is some slack, and a sweep of the whole lane once in a while; of the second the lane itself
tells (`turns`, `low`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from dray.model.clock import SECOND

Mark = tuple[int, int]  # (due, seq): what a lane has is at it or after it
START: Mark = (0, 0)
SLACK = SECOND // 2  # for so long an enqueuing transaction may go on and its jobs are still seen at once, not by the next sweep
LATE = SECOND // 5  # jobs that come back later than this after they were due are made known
SWEEP_EVERY = 1.0  # seconds between sweeps of a lane, at least
SWEEP_SHARE = 50.0  # a sweep is done again only after so many times the time that it took
SWEEP_AT_MOST = 60.0


class Lane(Struct, frozen=True):
    """A lane as the registry has it. `hold` is empty for one whose jobs only wait for their turn."""

    id: int
    queue: str
    executor: int
    rank: int
    hold: str
    turns: int = 0
    low: int = 0
    paused: bool = False


class Marks:
    """What one process remembers. Used by several threads: each mark is written in one step, and too low a one does no harm."""

    def __init__(self) -> None:
        self._low: dict[int, Mark] = {}
        self._turns: dict[int, int] = {}
        self._sweep_at: dict[int, float] = {}
        self._now = 0
        self.claimed: dict[int, int] = {}  # node: when it was last written that it looks for jobs
        self.served: dict[str, int] = {}  # queue: the turn in which it last gave a job

    def see(self, now: int, lanes: Sequence[Lane]) -> bool:
        """The store's time, and the lanes as they are. True: the marks say nothing any more, because the clock was set back (or
        another server took over), and what comes now is due earlier."""
        stepped = now < self._now - LATE
        if stepped:
            self._low.clear()
        self._now = now
        for lane in lanes:
            if self._turns.get(lane.id) != lane.turns:
                self._turns[lane.id] = lane.turns
                self.came_back(lane.id, lane.low)
        return stepped

    def forget(self) -> None:
        """What was taken may not have been, after all."""
        self._low.clear()
        self.claimed.clear()

    def ask(self, lanes: Sequence[int]) -> tuple[list[Mark], list[int]]:
        """From where to look at each lane, and which of them are swept."""
        now = time.monotonic()
        sweeps = [lane for lane in lanes if now >= self._sweep_at.get(lane, 0.0)]
        swept = set(sweeps)
        return [START if lane in swept else self._low.get(lane, START) for lane in lanes], sweeps

    def known(self, lanes: Sequence[int]) -> list[Mark]:
        """The same without any sweep."""
        return [self._low.get(lane, START) for lane in lanes]

    def swept(self, lanes: Sequence[int], took: float) -> None:
        """`lanes` have been swept, all together in `took` seconds."""
        again = time.monotonic() + min(SWEEP_AT_MOST, max(SWEEP_EVERY, SWEEP_SHARE * took))
        for lane in lanes:
            self._sweep_at[lane] = again

    def taken(self, lane: int, due: int, seq: int, now: int) -> None:
        """Everything up to this job has been taken from `lane`. (In a backlog that is exact: what was due seconds ago has long been
        committed.)"""
        self._low[lane] = min((due, seq), (now - SLACK, 0))

    def emptied(self, lane: int, now: int) -> None:
        """Everything up to now has been taken from `lane`."""
        self._low[lane] = (now - SLACK, 0)

    def low(self, lane: int) -> int:
        """From which time on `lane` has jobs, as far as is known."""
        return self._low.get(lane, START)[0]

    def came_back(self, lane: int, due: int) -> None:
        """A job that was due at `due` stands in `lane` again."""
        if due <= self._low.get(lane, START)[0]:
            self._low[lane] = (due, 0)


LATER = 0  # the mark of the scheduled jobs; lanes are numbered from 1
EXPIRED = -1  # the mark of the finished jobs whose time to be kept is over
