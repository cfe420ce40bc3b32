"""What a worker process measures of its runs: outcomes counted, times in buckets, errors by their fingerprint, its own use.

Added to by the pump once outcomes are in the store, so that nothing is counted that did not count; written a few times a minute.
What a process that is killed had not written yet is lost: these are figures for people, never what decides about a job.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from dray.model.figures import MINUTE, Failures, Use, Work, add_work, bucket, merged, name_of
from dray.model.ids import to_text
from dray.model.job import Claimed, State
from dray.model.lifecycle import Move
from dray.store.values import Figure
from dray.worker.completer import Ended
from dray.worker.usage import memory, processor

EVERY = 5.0  # seconds between writes, while there is something to write
USE_EVERY = 30.0  # seconds between looks at what the process uses
AGAIN = 10.0  # seconds until what could not be written is tried again
WARN_EVERY = 600.0  # seconds
MOST = 500  # pairs of queue and task, and errors, that are told apart in one write; the rest are added up under no name
BACKLOG = 2_000  # rows that wait while the store cannot be written
MESSAGE = 300  # characters of an error's message

# Times below this many microseconds are looked up.
QUICK = 4096
TABLE = [bucket(n) for n in range(QUICK)]
SECOND = 1_000_000


class Tally:
    """Counts. `add` and `figures` are the pump's; `totals` may be asked by any thread.

    `busy`: how many slots are in use now, `slots`: how many there are; `children`: the ids of its child processes.
    """

    def __init__(
        self, busy: Callable[[], int] = lambda: 0, slots: int = 0, children: Callable[[], Iterable[int]] = lambda: ()
    ) -> None:
        self._busy = busy
        self._slots = slots
        self._children = children
        self._work: dict[tuple[str, str], Work] = {}
        self._failures: dict[tuple[str, str], Failures] = {}
        self._waiting: list[Figure] = []
        self._totals: dict[str, Work] = {}
        self._lock = threading.Lock()
        self.stale = 0  # outcomes that came too late
        self.store_errors = 0  # exchanges with the store that failed
        self.store_time = (time.time_ns() // 1000, time.monotonic())  # the store's time, and when (monotonic) that was
        self._written = 0
        self._used = (processor(), time.monotonic())
        self._write_at = self._use_at = time.monotonic() + EVERY
        self._quiet_until = 0.0
        self._start = os.urandom(3).hex()

    # -- counting

    def add(self, ended: Sequence[Ended], stale: Collection[int] = ()) -> None:
        """These outcomes are in the store, but for the `stale` ones."""
        work, queue, task = None, None, None
        table, last = TABLE, QUICK - 1
        for move, _, job, took in ended:
            if stale and move.seq in stale:
                self.stale += 1
                continue
            if job.task != task or job.queue != queue or work is None:
                task, queue = job.task, job.queue
                work = self._work.get((queue, task))
                if work is None:
                    work = self._room_for(queue, task)
            if move.state is State.SUCCEEDED:
                work.succeeded += 1
            else:
                self._other(work, move, job)
            ran = int(took * SECOND)
            work.run_sum += ran
            number = table[ran] if 0 <= ran <= last else bucket(ran)
            work.run[number] = work.run.get(number, 0) + 1
            waited = job.started - job.due
            if waited < 0:
                waited = 0
            work.wait_sum += waited
            number = table[waited] if waited <= last else bucket(waited)
            work.wait[number] = work.wait.get(number, 0) + 1

    def _room_for(self, queue: str, task: str) -> Work:
        if len(self._work) >= MOST:
            queue, task = "", ""
        return self._work.setdefault((queue, task), Work())

    def _other(self, work: Work, move: Move, job: Claimed) -> None:
        if move.lost:
            work.lost += 1
        if move.state is State.FAILED:
            work.failed += 1
        elif move.state is State.CANCELLED:
            work.cancelled += 1
        elif move.word == "raised":
            work.retried += 1
        elif not move.lost:
            work.other += 1
        error = move.error
        if error is None:
            return
        key = (job.task, error.fingerprint or "")
        if key not in self._failures and len(self._failures) >= MOST:
            return
        now = self._now()
        seen = Failures(1, int(move.state is State.FAILED), error.type, error.message[:MESSAGE], to_text(job.id), now)
        self._failures[key] = merged((self._failures.get(key, Failures()), seen), Failures)

    def _now(self) -> int:
        told, at = self.store_time
        return told + int((time.monotonic() - at) * SECOND)

    # -- writing

    @property
    def due(self) -> float:
        """When (monotonic) to write: soon if something has been counted, else now and then."""
        return self._write_at if self._work or self._waiting else max(self._write_at, self._use_at)

    def figures(self, node: int, *, last: bool = False) -> list[Figure]:
        """What has been counted since the last time, ready to be written. `last`: the process ends."""
        now = time.monotonic()
        at = self._now() // (MINUTE * SECOND) * (MINUTE * SECOND)
        self._written += 1
        source = f"{node}.{self._start}.{self._written}"
        rows, self._waiting = self._waiting, []
        with self._lock:
            for (queue, task), work in self._work.items():
                rows.append(row("work", at, name_of(queue, task), work, source))
                add_work(self._totals.setdefault(name_of(queue, task), Work()), work)
            self._work = {}
        rows += [row("failures", at, name_of(*key), failures, source) for key, failures in self._failures.items()]
        self._failures = {}
        if now >= self._use_at or last:
            rows.append(row("use", at, str(node), self._use(now), source))
            self._use_at = now + USE_EVERY
        self._write_at = now + EVERY
        return rows

    def back(self, rows: list[Figure]) -> None:
        """They could not be written: next time. Written twice they count once, their key stays the same."""
        self._waiting = (rows + self._waiting)[-BACKLOG:]
        self._write_at = time.monotonic() + AGAIN

    @property
    def loudness(self) -> int:
        """How loudly to say that they could not be written: a warning now and then, as nothing else suffers."""
        now = time.monotonic()
        if now < self._quiet_until:
            return logging.DEBUG
        self._quiet_until = now + WARN_EVERY
        return logging.WARNING

    def totals(self) -> dict[str, Work]:
        """Everything since the process began, by the name of figures; not newer than the last write."""
        with self._lock:
            return {name: merged((work,), Work) for name, work in self._totals.items()}

    def _use(self, now: float) -> Use:
        used, before = self._used
        total = processor(self._children())
        self._used = (total, now)
        return Use(max(0.0, total - used), memory() or 0, float(self._busy()), self._slots, now - before)


def row(kind: str, at: int, name: str, data: object, source: str = "", span: int = 0) -> Figure:
    """A figure to be written. One that has not been added up yet has no span."""
    return Figure(kind, at, span, name, msgspec.msgpack.encode(data), source)
