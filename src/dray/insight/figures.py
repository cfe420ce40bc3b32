"""Questions about how things go: rates and times over hours and days, tasks, errors, what workers use.

The figures are those that workers write every few seconds; see `dray.model.figures` for how long each span is kept, and
`dray.worker.tally` for who measures. How many jobs there are in each state comes from the kept counters, which are exact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from dray.model.figures import (
    HOUR,
    MINUTE,
    SPANS,
    TEN_MINUTES,
    TOTAL,
    Depth,
    Failures,
    Use,
    Work,
    merged,
    name_of,
    parts_of,
    percentile,
)
from dray.store.plan import Now, Plan, reads
from dray.store.values import Figure

if TYPE_CHECKING:
    from dray.store.protocol import Store

T = TypeVar("T")

SECOND = 1_000_000
MOST_POINTS = 800
TREND = 24  # points of the small line beside an error or a task


class Times(Struct, frozen=True):
    """Percentiles in seconds; None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None


class Point(Struct, frozen=True):
    """What happened in one step of a series. `at`: when it began, microseconds since 1970."""

    at: int
    work: Work
    run: Times
    wait: Times
    depth: Depth | None = None  # at its end

    @property
    def finished(self) -> int:
        """Jobs that came to their end."""
        return self.work.finished


class Series(Struct, frozen=True):
    """Points in order, one for each step (seconds) from `since` to `until`, also where nothing happened."""

    step: int
    since: int
    until: int
    points: list[Point]
    total: Work  # all of them together

    @property
    def run(self) -> Times:
        """How long functions ran."""
        return times(self.total.run, self.total.run_sum)

    @property
    def wait(self) -> Times:
        """How long jobs waited from when they were due."""
        return times(self.total.wait, self.total.wait_sum)

    @property
    def per_second(self) -> float:
        """Jobs that came to their end, per second."""
        return self.total.finished / max(1e-6, (self.until - self.since) / SECOND)


class TaskFigures(Struct, frozen=True):
    """One task in the hours asked about."""

    name: str
    queues: tuple[str, ...]
    work: Work
    run: Times
    wait: Times
    trend: list[int]  # jobs that came to their end, by step, oldest first
    workers: int  # worker processes whose code has it
    known: bool = True  # whether any worker's or this app's code has it

    @property
    def failing(self) -> float:
        """The part of its runs that raised or were lost, 0…1."""
        bad = self.work.failed + self.work.retried + self.work.lost
        runs = bad + self.work.succeeded
        return bad / runs if runs else 0.0


class ErrorGroup(Struct, frozen=True):
    """Runs of a task that raised the same error at the same place. Times are microseconds since 1970."""

    fingerprint: str
    task: str
    type: str
    message: str  # of the newest
    times: int
    final: int  # after which the job had failed
    first: int  # the beginning of the span in which it was first seen, in the hours asked about
    last: int
    job: str  # the newest one's
    trend: list[int]  # times, by step, oldest first


class WorkerUse(Struct, frozen=True):
    """What a worker process used of late."""

    node: int
    cpu: float  # cores, on average
    memory: int  # bytes
    busy: float  # slots, on average
    slots: int
    trend: list[float]  # cores, by minute, oldest first


class Figures:
    """The part of Insight that asks for figures."""

    if TYPE_CHECKING:
        store: Store

        def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
        def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]: ...

    def series(self, hours: float = 1.0, *, queue: str | None = None, task: str | None = None) -> Series:
        """Outcomes, times and depths of the last `hours`: by minute up to 3, by ten minutes up to 72, by hour up to 35 days."""
        return self._ask(self._series, hours, queue, task)

    async def aseries(self, hours: float = 1.0, *, queue: str | None = None, task: str | None = None) -> Series:
        """`series` for coroutines."""
        return await self._aask(self._series, hours, queue, task)

    def tasks(self, hours: float = 1.0, *, known: Iterable[str] = ()) -> list[TaskFigures]:
        """The tasks that ran in the last `hours`, and those that workers know; `known`: names from the app's code. By name."""
        return self._ask(self._tasks, hours, frozenset(known))

    async def atasks(self, hours: float = 1.0, *, known: Iterable[str] = ()) -> list[TaskFigures]:
        """`tasks` for coroutines."""
        return await self._aask(self._tasks, hours, frozenset(known))

    def errors(self, hours: float = 24.0, *, task: str | None = None) -> list[ErrorGroup]:
        """What was raised in the last `hours`, told together by task, type and place; what failed jobs first, then by times."""
        return self._ask(self._errors, hours, task)

    async def aerrors(self, hours: float = 24.0, *, task: str | None = None) -> list[ErrorGroup]:
        """`errors` for coroutines."""
        return await self._aask(self._errors, hours, task)

    def use(self, hours: float = 1.0) -> dict[int, WorkerUse]:
        """What worker processes use, by node."""
        return self._ask(self._use, hours)

    async def ause(self, hours: float = 1.0) -> dict[int, WorkerUse]:
        """`use` for coroutines."""
        return await self._aask(self._use, hours)

    # -- the plans

    def _read(self, kind: str, hours: float, now: int, name: str | None = None) -> Plan[tuple[int, list[Figure]]]:
        """Figures of the last hours, in the spans in which they are kept for so long, and the size of their steps in seconds."""
        verbs = self.store.plans
        step = step_of(hours)
        since = (now - int(hours * HOUR * SECOND)) // (step * SECOND) * (step * SECOND)
        found: list[Figure] = []
        for span in (0, *sorted(span for span in SPANS if span <= step)):
            # The newest are not added up to longer spans yet.
            found += yield from verbs.figures(kind, span, since, now + 1, None if name == TOTAL and span == 0 else name)
        return step, found

    @reads
    def _series(self, hours: float, queue: str | None, task: str | None) -> Plan[Series]:
        now: int = yield Now()
        one = name_of(queue, task) if queue is not None and task is not None else None
        name = TOTAL if queue is None and task is None else one
        step, figures = yield from self._read("work", hours, now, name)
        wanted = [figure for figure in figures if _about(figure, queue, task)]
        works = by_step(wanted, step, Work)
        depths: dict[int, Depth] = {}
        if task is None:
            _, measured = yield from self._read("depth", hours, now, TOTAL if queue is None else queue)
            depths = by_step(measured, step, Depth)
        size = step * SECOND
        since = (now - int(hours * HOUR * SECOND)) // size * size
        points = [point(at, works.get(at, Work()), depths.get(at)) for at in range(since, now + 1, size)]
        return Series(step, since, now, points, merged(works.values(), Work))

    @reads
    def _tasks(self, hours: float, known: frozenset[str]) -> Plan[list[TaskFigures]]:
        now: int = yield Now()
        step, figures = yield from self._read("work", hours, now)
        nodes = yield from self.store.plans.nodes()
        told: dict[str, int] = {}
        for node in nodes:
            for name in (node.info or {}).get("tasks") or () if node.alive and isinstance(node.info, dict) else ():
                told[name] = told.get(name, 0) + 1
        found: dict[str, list[Figure]] = {name: [] for name in (*told, *known)}
        queues: dict[str, set[str]] = {}
        for figure in figures:
            queue, task = parts_of(figure.name)
            if figure.name != TOTAL and task:
                found.setdefault(task, []).append(figure)
                queues.setdefault(task, set()).add(queue)
        rows = []
        for name in sorted(found):
            work = merged((decoded(figure, Work) for figure in found[name]), Work)
            steps = by_step(found[name], step, Work)
            rows.append(TaskFigures(
                name, tuple(sorted(queues.get(name, ()))), work, times(work.run, work.run_sum), times(work.wait, work.wait_sum),
                trend({at: one.finished for at, one in steps.items()}, now, hours), told.get(name, 0),
                name in told or name in known,
            ))  # fmt: skip
        return rows

    @reads
    def _errors(self, hours: float, task: str | None) -> Plan[list[ErrorGroup]]:
        now: int = yield Now()
        step, figures = yield from self._read("failures", hours, now)
        found: dict[str, list[Figure]] = {}
        for figure in figures:
            if task is None or parts_of(figure.name)[0] == task:
                found.setdefault(figure.name, []).append(figure)
        groups = []
        for name, mine in found.items():
            named, fingerprint = parts_of(name)
            total = merged((decoded(figure, Failures) for figure in mine), Failures)
            counts = {at: one.times for at, one in by_step(mine, step, Failures).items()}
            groups.append(ErrorGroup(
                fingerprint, named, total.type, total.message, total.times, total.final, min(counts), total.at, total.job,
                trend(counts, now, hours),
            ))  # fmt: skip
        return sorted(groups, key=lambda group: (-group.final, -group.times, group.task))

    @reads
    def _use(self, hours: float) -> Plan[dict[int, WorkerUse]]:
        now: int = yield Now()
        step, figures = yield from self._read("use", hours, now)
        found: dict[str, list[Figure]] = {}
        for figure in figures:
            found.setdefault(figure.name, []).append(figure)
        answer = {}
        for name, mine in found.items():
            steps = by_step(mine, step, Use)
            last = steps[max(steps)]
            line = [one.cpu / one.seconds if one.seconds else 0.0 for _, one in sorted(steps.items())]
            answer[int(name)] = WorkerUse(int(name), line[-1], last.memory, last.busy, last.slots, line[-TREND:])
        return answer


def step_of(hours: float) -> int:
    """The step, in seconds, in which so many hours can be told."""
    seconds = hours * HOUR
    for span in (MINUTE, TEN_MINUTES, HOUR):
        if seconds <= SPANS[span] and seconds / span <= MOST_POINTS:
            return span
    return HOUR


def _about(figure: Figure, queue: str | None, task: str | None) -> bool:
    if queue is None and task is None:
        return (figure.name == TOTAL) == (figure.span != 0)
    if figure.name == TOTAL:
        return False
    mine = parts_of(figure.name)
    return (queue is None or mine[0] == queue) and (task is None or mine[1] == task)


D = TypeVar("D", Work, Failures, Depth, Use)


def decoded(figure: Figure, kind: type[D]) -> D:
    """What was measured; nothing, if it cannot be read."""
    try:
        return msgspec.msgpack.decode(figure.data, type=kind)
    except msgspec.DecodeError:
        return kind()


def by_step(figures: Iterable[Figure], step: int, kind: type[D]) -> dict[int, D]:
    """Figures added up for each step, by when it began."""
    size = step * SECOND
    groups: dict[int, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(figure.at // size * size, []).append(figure)
    return {
        at: merged((decoded(figure, kind) for figure in sorted(group, key=lambda one: one.at)), kind)
        for at, group in groups.items()
    }


def point(at: int, work: Work, depth: Depth | None) -> Point:
    """One step."""
    return Point(at, work, times(work.run, work.run_sum), times(work.wait, work.wait_sum), depth)


def times(buckets: dict[int, int], total: int) -> Times:
    """Percentiles of what is in buckets. `total`: the sum, in microseconds."""
    n = sum(buckets.values())
    if not n:
        return Times()
    return Times(percentile(buckets, 0.5), percentile(buckets, 0.95), percentile(buckets, 0.99), total / n / SECOND)


def trend(counts: dict[int, int], now: int, hours: float) -> list[int]:
    """Counts by time as 24 numbers over the last hours, oldest first."""
    width = hours * HOUR * SECOND / TREND
    line = [0] * TREND
    for at, n in counts.items():
        place = TREND - 1 - int((now - at) / width)
        line[min(TREND - 1, max(0, place))] += n
    return line
