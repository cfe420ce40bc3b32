"""Operations that tell figures: how things are, go and went."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from dray import shapes
from dray.dashboard.api.arguments import schema
from dray.dashboard.api.problem import Failed
from dray.dashboard.api.table import Call, get
from dray.dashboard.api.values import Body, Hours, HoursQuery, Name, Query
from dray.insight.figures import ErrorGroup, TaskFigures
from dray.insight.figures import Times as Measured
from dray.model.figures import Work
from dray.wording import iso


class Outcomes(Struct, frozen=True, kw_only=True):
    """What became of runs."""

    succeeded: int
    failed: int
    retried: int
    cancelled: int
    lost: int
    other: Annotated[int, Meta(description="Snoozed, suspended or interrupted: no attempt was used up.")]


class Times(Struct, frozen=True, kw_only=True):
    """Percentiles in seconds; null where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None


class Depth(Struct, frozen=True, kw_only=True):
    """How many jobs there were. `oldest`: seconds that the oldest ready one had waited."""

    ready: int
    running: int
    scheduled: int
    waiting: int
    failed: int
    oldest: float


class Point(Struct, frozen=True, kw_only=True):
    """One step of a series."""

    at: Annotated[shapes.Moment, Meta(description="When it began.")] | None
    outcomes: Outcomes
    run: Times
    wait: Times
    depth: Annotated[Depth, Meta(description="At its end; null if it was not measured.")] | None


class Series(Struct, frozen=True, kw_only=True):
    """Points in order, one for each step of so many seconds, also where nothing happened."""

    step: int
    since: shapes.Moment | None
    until: shapes.Moment | None
    per_second: float
    total: Outcomes
    run: Times
    wait: Times
    points: list[Point]


class SeriesQuery(Query, frozen=True, kw_only=True):
    """About what."""

    hours: Hours = 1.0
    queue: Name | UnsetType = UNSET
    task: Name | UnsetType = UNSET


class Task(Struct, frozen=True, kw_only=True):
    """A task, and how it went."""

    name: str
    queues: list[str]
    outcomes: Outcomes
    run: Times
    wait: Times
    failing: Annotated[float, Meta(description="The part of its runs that raised or were lost, 0 to 1.")]
    trend: Annotated[list[int], Meta(description="Jobs that came to their end, in equal steps, oldest first.")]
    workers: Annotated[int, Meta(description="Worker processes whose code has it.")]
    known: bool


class Tasks(Struct, frozen=True, kw_only=True):
    """The tasks that ran, that workers know, or that the app has; by name."""

    tasks: list[Task]


class TaskDetail(Task, frozen=True, kw_only=True):
    """A task, and what its arguments look like."""

    arguments: Annotated[dict[str, Any], Meta(description="Their JSON Schema; null if the code is not known here.")] | None


class ErrorsQuery(Query, frozen=True, kw_only=True):
    """Which errors."""

    hours: Hours = 24.0
    task: Name | UnsetType = UNSET


class Error(Struct, frozen=True, kw_only=True):
    """Runs of a task that raised the same error at the same place. `final`: after how many of them the job had failed."""

    fingerprint: str
    task: str
    type: str
    message: Annotated[str, Meta(description="Of the newest.")]
    times: int
    final: int
    first: shapes.Moment | None
    last: shapes.Moment | None
    job: Annotated[str, Meta(description="The id of the newest one's job.")]
    trend: Annotated[list[int], Meta(description="Times, in equal steps, oldest first.")]


class Errors(Struct, frozen=True, kw_only=True):
    """What failed jobs first, then by times."""

    errors: list[Error]


@get("/health", tag="figures", gives=shapes.Health)
def health(call: Call[Query, Body]) -> shapes.Health:
    """How things are, in a sentence."""
    return shapes.health(call.insight.overview())


@get("/overview", tag="figures", gives=shapes.Overview)
def overview(call: Call[Query, Body]) -> shapes.Overview:
    """Everything at one moment."""
    return shapes.overview(call.insight.overview())


@get("/series", tag="figures", gives=Series, query=SeriesQuery)
def series(call: Call[SeriesQuery, Body]) -> Series:
    """Outcomes, times and depths over the last hours.

    By minute up to 3 hours, by ten minutes up to 72, by hour up to 35 days."""
    query = call.query
    found = call.insight.series(query.hours, queue=_given(query.queue), task=_given(query.task))
    points = [
        Point(
            at=iso(one.at), outcomes=_outcomes(one.work), run=_times(one.run), wait=_times(one.wait),
            depth=None if one.depth is None else Depth(
                ready=one.depth.ready, running=one.depth.running, scheduled=one.depth.scheduled, waiting=one.depth.waiting,
                failed=one.depth.failed, oldest=one.depth.oldest,
            ),
        )
        for one in found.points
    ]  # fmt: skip
    return Series(
        step=found.step, since=iso(found.since), until=iso(found.until), per_second=found.per_second, total=_outcomes(found.total),
        run=_times(found.run), wait=_times(found.wait), points=points,
    )  # fmt: skip


@get("/tasks", tag="tasks", gives=Tasks, query=HoursQuery)
def list_tasks(call: Call[HoursQuery, Body]) -> Tasks:
    """List the tasks, and how they went."""
    return Tasks(tasks=[Task(**_about(one)) for one in call.insight.tasks(call.query.hours, known=call.house.known_tasks or ())])


@get("/tasks/{name}", tag="tasks", gives=TaskDetail, query=HoursQuery)
def get_task(call: Call[HoursQuery, Body]) -> TaskDetail:
    """One task: how it went, and what its arguments look like."""
    name = call.path["name"]
    every = call.insight.tasks(call.query.hours, known=call.house.known_tasks or ())
    found = next((one for one in every if one.name == name), None)
    if found is None:
        raise Failed(404, f"There is no task {name!r}: it has not run of late, and no worker knows it.")
    task = None if call.app is None else call.app.tasks.get(name)
    return TaskDetail(**_about(found), arguments=None if task is None else schema(task))


@get("/errors", tag="errors", gives=Errors, query=ErrorsQuery)
def list_errors(call: Call[ErrorsQuery, Body]) -> Errors:
    """What was raised, told together by task, type and place.

    `fingerprint:…` in a search finds the jobs."""
    found = call.insight.errors(call.query.hours, task=_given(call.query.task))
    return Errors(errors=[_error(one, call) for one in found])


def _given(value: str | UnsetType) -> str | None:
    return value if isinstance(value, str) else None


def _outcomes(work: Work) -> Outcomes:
    return Outcomes(
        succeeded=work.succeeded, failed=work.failed, retried=work.retried, cancelled=work.cancelled, lost=work.lost,
        other=work.other,
    )  # fmt: skip


def _times(times: Measured) -> Times:
    return Times(p50=times.p50, p95=times.p95, p99=times.p99, mean=times.mean)


def _about(figures: TaskFigures) -> dict[str, Any]:
    return {
        "name": figures.name, "queues": list(figures.queues), "outcomes": _outcomes(figures.work), "run": _times(figures.run),
        "wait": _times(figures.wait), "failing": figures.failing, "trend": figures.trend, "workers": figures.workers,
        "known": figures.known,
    }  # fmt: skip


def _error(group: ErrorGroup, call: Call[Any, Any]) -> Error:
    return Error(
        fingerprint=group.fingerprint, task=group.task, type=group.type, message=call.hide.text(group.message), times=group.times,
        final=group.final, first=iso(group.first), last=iso(group.last), job=group.job, trend=group.trend,
    )  # fmt: skip
