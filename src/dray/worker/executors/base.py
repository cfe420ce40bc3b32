"""What the corridor asks of an executor, and what it tells it."""

from __future__ import annotations

import time
from typing import Any, Protocol

from dray.context import JobContext
from dray.model.job import Claimed
from dray.model.outcome import Outcome
from dray.task import Task

START_WITHIN = 0.02  # seconds: no more is claimed ahead than will start within this time
MAX_AHEAD = 1000
CAUTIOUS = 1.0  # seconds that a job is taken to last until we know better: none is claimed ahead then
STANDS_AFTER = 0.1  # seconds without movement after which what was claimed ahead is given back


class Corridor(Protocol):
    """Where an executor gets a job's task from, and where it brings the outcome to. Called from any thread."""

    def task(self, job: Claimed) -> Task[..., Any] | None: ...
    def started(self, job: Claimed) -> int: ...
    def leave_if_copy(self) -> None: ...
    def ended(self, job: Claimed, place: int, outcome: Outcome, task: Task[..., Any] | None, took: float) -> None: ...
    def give_back(self, jobs: list[Claimed]) -> None: ...


class Executor(Protocol):
    """Runs jobs in one kind of slot."""

    slots: int
    pace: Pace

    def start(self) -> None: ...
    def give(self, jobs: list[Claimed]) -> None: ...
    def room(self) -> int: ...
    def busy(self) -> int: ...
    def cancel(self, seq: int, claim: int, reason: str) -> None: ...
    def take_back(self) -> list[Claimed]: ...
    def interrupt(self) -> None: ...
    def stop(self) -> None: ...
    def running(self) -> list[Claimed]: ...


class Pace:
    """How long jobs take, and so how many to claim ahead: never more than will start within 20 ms, so that long jobs are not
    hoarded while other workers idle, and short ones do not wait for the next claim."""

    __slots__ = ("_mean", "_moved")

    def __init__(self) -> None:
        self._mean = CAUTIOUS
        self._moved = 0.0

    def given(self) -> None:
        """New jobs have come."""
        self._moved = time.monotonic()

    def saw(self, seconds: float) -> None:
        """A job took so long; the mean of about the last eight."""
        self._mean += (seconds - self._mean) * 0.125
        self._moved = time.monotonic()

    def stands(self) -> bool:
        """Whether no job has ended for a while, nor any come: those that wait, wait behind long ones."""
        return time.monotonic() - self._moved > STANDS_AFTER

    def slow(self) -> None:
        """Be cautious again."""
        self._mean = CAUTIOUS

    def ahead(self, slots: int) -> int:
        """How many jobs more than there are slots."""
        return min(MAX_AHEAD, int(slots * START_WITHIN / max(self._mean, 1e-6)))


class Running:
    """The contexts of what runs, so that a cancel finds them."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, int], JobContext] = {}

    def add(self, context: JobContext) -> None:
        """It starts."""
        job = context.claimed
        self._contexts[job.seq, job.claim] = context

    def remove(self, context: JobContext) -> None:
        """It is over."""
        job = context.claimed
        self._contexts.pop((job.seq, job.claim), None)

    def find(self, seq: int, claim: int) -> JobContext | None:
        """The context of a run, if it is here."""
        return self._contexts.get((seq, claim))

    def all(self) -> list[JobContext]:
        """All of them."""
        return list(self._contexts.values())
