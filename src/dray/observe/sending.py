"""Who watches what is enqueued: called around the writing of jobs, in either colour. Nobody watches unless asked to."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Protocol

import msgspec

from dray.model.figures import name_of
from dray.model.job import JobOptions, NewJob

MOST = 2_000  # pairs of queue and task that are told apart; the rest are counted under no name

NOTHING = JobOptions()

_queue_and_task = attrgetter("queue", "task")


class Observer(Protocol):
    """Watches an app. `sending` is entered before jobs are written, with the jobs, and gives those that are to be written in
    their place; what it is left with says whether that went well. `flush` sends what has been gathered, before the process ends,
    and takes no more than about so many seconds."""

    def sending(self, jobs: Sequence[NewJob]) -> AbstractContextManager[Sequence[NewJob]]: ...
    def flush(self, within: float = 5.0) -> None: ...


@contextlib.contextmanager
def sent(observers: Sequence[Observer], jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Around the writing of `jobs`: inside all observers, the first outermost; gives the jobs to write."""
    with contextlib.ExitStack() as stack:
        for observer in observers:
            jobs = stack.enter_context(observer.sending(jobs))
        yield jobs


class Enqueued:
    """Counts what is enqueued in this process, once it has been written. In `app.bind`, written is not yet committed."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def sending(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        """Of the protocol `Observer`."""
        yield jobs
        found = Counter(map(_queue_and_task, jobs))
        with self._lock:
            for key, n in found.items():
                self._add(key, n)

    def flush(self, within: float = 5.0) -> None:
        """Nothing is kept back."""

    def totals(self) -> dict[str, int]:
        """How many since the beginning, by the name that figures have: queue, tab, task."""
        with self._lock:
            return {name_of(*key): n for key, n in self._counts.items()}

    def more(self, counts: Mapping[str, int]) -> None:
        """Add what a child process has enqueued."""
        with self._lock:
            for name, n in counts.items():
                queue, _, task = name.partition("\t")
                self._add((queue, task), n)

    def take(self) -> dict[str, int]:
        """What there is, which is forgotten here."""
        with self._lock:
            found = {name_of(*key): n for key, n in self._counts.items()}
            self._counts.clear()
        return found

    def _add(self, key: tuple[str, str], n: int) -> None:
        if key not in self._counts and len(self._counts) >= MOST:
            key = ("", "")
        self._counts[key] += n


class Watched(Protocol):
    """Has observers: an app."""

    observers: list[Observer]


def count(app: Watched) -> Enqueued:
    """Have the app count what it enqueues, from now on; done twice it is done once."""
    found = counter_of(app.observers)
    if found is None:
        found = Enqueued()
        app.observers.append(found)
    return found


def counter_of(observers: Sequence[Observer]) -> Enqueued | None:
    """The counter among them."""
    return next((observer for observer in observers if isinstance(observer, Enqueued)), None)


def with_trace(jobs: Sequence[NewJob], trace: Mapping[str, str]) -> list[NewJob]:
    """The jobs, with `trace` among what is kept with each of them."""
    made: dict[bytes | None, bytes] = {}
    found = []
    for job in jobs:
        options = made.get(job.options)
        if options is None:
            options = made[job.options] = _merged(job.options, trace)
        found.append(msgspec.structs.replace(job, options=options))
    return found


def _merged(options: bytes | None, trace: Mapping[str, str]) -> bytes:
    before = kept(options)
    return msgspec.json.encode(msgspec.structs.replace(before, trace={**(before.trace or {}), **trace}))


def kept(options: bytes | None) -> JobOptions:
    """What is kept with a job; nothing, if that cannot be read: those who run it will say so."""
    if options is None:
        return NOTHING
    try:
        return msgspec.json.decode(options, type=JobOptions)
    except msgspec.DecodeError:
        return NOTHING
