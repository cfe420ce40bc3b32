"""A job's story as a timeline: what happened when, and how long each part took. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from dray.model.job import JobInfo, State
from dray.store.values import RunRecord

BAD = frozenset({"raised", "failed", "lost"})
NARROWEST = 0.008  # of the whole line: a run of a millisecond in a day of waiting shall be seen


class Run(Struct, frozen=True):
    """One run of the job. Times are microseconds since 1970."""

    claim: int
    attempt: int
    word: str  # returned, raised, lost, snoozed, cancelled …, or running
    started: int | None
    finished: int | None  # None: it goes on
    where: str  # the worker
    node: int | None
    error: Any = None
    reason: str = ""

    @property
    def kind(self) -> str:
        """How it looks: good, bad, running or soft."""
        if self.word == "running":
            return "running"
        return "good" if self.word in ("returned", "succeeded") else "bad" if self.word in BAD else "soft"


class Part(Struct, frozen=True):
    """A stretch of the line. `left` and `width` are parts of 1000."""

    kind: str  # wait, good, bad, running, soft, ahead
    label: str
    since: int
    until: int
    left: float = 0.0
    width: float = 0.0


def runs(job: JobInfo, history: Sequence[RunRecord], names: Mapping[int, str]) -> list[Run]:
    """All its runs, oldest first: those in its history, and the last, which the job itself holds."""
    def where(node: int | None) -> str:
        return "" if node is None else names.get(node, f"worker {node}")

    found = [
        Run(one.claim, one.attempt, one.word, one.started, one.finished, where(one.node), one.node, one.error, one.reason or "")
        for one in history
    ]
    if job.started is None or any(one.claim == job.claim for one in history):
        return found
    if job.state is State.RUNNING:
        found.append(Run(job.claim, job.attempt, "running", job.started, None, where(job.node), job.node))
    elif job.state.final and job.finished:
        error = job.error if job.state is State.FAILED else None
        found.append(Run(
            job.claim, job.attempt, str(job.state), job.started, job.finished, where(job.node), job.node, error, job.reason or "",
        ))  # fmt: skip
    return found


def parts(job: JobInfo, told: Sequence[Run], now: int) -> list[Part]:
    """The line from when the job was enqueued until it ended, or until now and on to when it is due."""
    found: list[Part] = []
    place = job.enqueued
    for run in told:
        began = run.started if run.started is not None else run.finished or now
        if began > place:
            found.append(Part("wait", "waited" if not found else "waited for the next attempt", place, began))
        end = run.finished if run.finished is not None else max(now, began)
        found.append(Part(run.kind, f"attempt {run.attempt}: {run.word}", began, max(end, began)))
        place = max(place, end)
    if job.state.final:
        if job.finished is not None and job.finished > place:
            found.append(Part("wait", "waited", place, job.finished))
    elif job.state is not State.RUNNING:
        if now > place:
            found.append(Part("wait", "waits", place, now))
        if job.state is State.SCHEDULED and job.due > now:
            found.append(Part("ahead", "until it is due", now, job.due))
    return laid_out(found)


def laid_out(found: list[Part]) -> list[Part]:
    """The parts with their places: in proportion to their time, but each wide enough to be seen."""
    total = sum(part.until - part.since for part in found)
    shares = [max(NARROWEST, (part.until - part.since) / total if total else 1.0) for part in found]
    whole, left, placed = sum(shares), 0.0, []
    for part, share in zip(found, shares, strict=True):
        width = 1000 * share / whole
        placed.append(Part(part.kind, part.label, part.since, part.until, round(left, 2), round(width, 2)))
        left += width
    return placed


class Spent(Struct, frozen=True):
    """Where the time went, in seconds."""

    waited: float
    ran: float
    runs: int


def spent(told: Sequence[Run], line: Sequence[Part], now: int) -> Spent:
    """How long it waited and ran, all attempts together."""
    waited = sum(part.until - part.since for part in line if part.kind == "wait") / 1e6
    ran = sum((run.finished or now) - run.started for run in told if run.started is not None) / 1e6
    return Spent(waited, max(0.0, ran), len(told))
