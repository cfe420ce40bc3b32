"""What a process has counted since it began, and how that of several processes is added up so that no sum ever falls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from dray.model.figures import Work, add_work


class Counted(msgspec.Struct):
    """Counts since the beginning, and how things are now. Work and enqueued jobs are named as figures are: queue, tab, task."""

    work: dict[str, Work] = {}
    enqueued: dict[str, int] = {}
    stale: int = 0  # outcomes that came too late: the run had lost its claim
    store_errors: int = 0  # exchanges with the store that failed
    leases_lost: int = 0
    deaths: int = 0  # of worker processes that ended by themselves
    slots: dict[str, int] = {}  # by the kind of slot: async, thread, process
    busy: dict[str, int] = {}
    processes: dict[str, int] = {}  # worker processes: starting, ready, stopping
    claim_age: float | None = None  # seconds since the last successful look for jobs, with room for some
    lease_age: float | None = None  # seconds since the lease was last renewed

    def add(self, more: Counted, *, alive: bool = True) -> None:
        """Add what another process has counted; what it was doing only if it lives."""
        for name, work in more.work.items():
            add_work(self.work.setdefault(name, Work()), work)
        for name, n in more.enqueued.items():
            self.enqueued[name] = self.enqueued.get(name, 0) + n
        self.stale += more.stale
        self.store_errors += more.store_errors
        self.leases_lost += more.leases_lost
        self.deaths += more.deaths
        if not alive:
            return
        for mine, theirs in ((self.slots, more.slots), (self.busy, more.busy), (self.processes, more.processes)):
            for kind, n in theirs.items():
                mine[kind] = mine.get(kind, 0) + n


class Teller:
    """Tells of a process's counts what has changed since the last time: much less than all where there are many tasks."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, ...]] = {}
        self._enqueued: dict[str, int] = {}
        self._rest: tuple[Any, ...] = ()

    def changes(self, now: Counted) -> dict[str, Any] | None:
        """For JSON; None if nothing has changed."""
        work = {name: one for name, one in now.work.items() if self._told.get(name) != mark(one)}
        enqueued = {name: n for name, n in now.enqueued.items() if self._enqueued.get(name) != n}
        rest = (now.stale, now.store_errors, now.leases_lost, now.slots, now.busy)
        if not work and not enqueued and rest == self._rest:
            return None
        self._told.update({name: mark(one) for name, one in work.items()})
        self._enqueued.update(enqueued)
        self._rest = rest
        told: dict[str, Any] = msgspec.to_builtins(
            Counted(work, enqueued, now.stale, now.store_errors, now.leases_lost, slots=now.slots, busy=now.busy), str_keys=True
        )
        return told


def brought_up(known: Counted, told: Mapping[str, Any]) -> Counted:
    """What is known of a process, brought up to date with what its `Teller` told. A new one: others may be reading the old."""
    new = msgspec.convert(dict(told), Counted, str_keys=True)
    new.work = {**known.work, **new.work}
    new.enqueued = {**known.enqueued, **new.enqueued}
    return new


def total(living: Iterable[Counted], dead: Counted) -> Counted:
    """All together. `dead` is what those had counted that have ended."""
    found = Counted()
    found.add(dead, alive=False)
    for one in living:
        found.add(one)
    return found


def mark(work: Work) -> tuple[int, ...]:
    """Numbers that differ when it has changed."""
    return (
        work.succeeded, work.failed, work.retried, work.cancelled, work.lost, work.other, work.run_sum, work.wait_sum,
    )  # fmt: skip

