"""Operations on queues, schedules and workers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from dray import shapes
from dray.dashboard.api.problem import Failed
from dray.dashboard.api.table import Call, get, operation, post
from dray.dashboard.api.values import Body, Query
from dray.dashboard.settings import Role
from dray.errors import ConfigurationError, UnknownWorker
from dray.facts import store_now
from dray.model.clock import SECOND
from dray.options import check
from dray.schedules import next_runs
from dray.store.values import NodeInfo
from dray.wording import iso

# -- queues


class Queues(Struct, frozen=True, kw_only=True):
    """Every queue that a job or an operator named."""

    queues: list[shapes.Queue]


@get("/queues", tag="queues", gives=Queues)
def list_queues(call: Call[Query, Body]) -> Queues:
    """List the queues with their jobs by state."""
    return Queues(queues=[shapes.queue(one) for one in call.insight.queues()])


@get("/queues/{name}", tag="queues", gives=shapes.Queue)
def get_queue(call: Call[Query, Body]) -> shapes.Queue:
    """One queue."""
    return _queue(call)


@post("/queues/{name}/pause", tag="queues", gives=shapes.Queue)
def pause_queue(call: Call[Query, Body]) -> shapes.Queue:
    """Start nothing of a queue for now; what runs goes on. Also of one that no job has named yet."""
    name = call.path["name"]
    try:
        check({"queue": name}, "this request", task=False)
    except ConfigurationError as error:
        raise Failed(404, str(error)) from None
    call.insight.pause(name, call.visit.name or None)
    return _queue(call)


@post("/queues/{name}/resume", tag="queues", gives=shapes.Queue)
def resume_queue(call: Call[Query, Body]) -> shapes.Queue:
    """Let the jobs of a queue start again."""
    _queue(call)
    call.insight.resume(call.path["name"], call.visit.name or None)
    return _queue(call)


def _queue(call: Call[Any, Any]) -> shapes.Queue:
    name = call.path["name"]
    found = next((one for one in call.insight.queues() if one.name == name), None)
    if found is None:
        raise Failed(404, f"There is no queue {name!r}; no job has named it.")
    return shapes.queue(found)


# -- schedules


class Schedules(Struct, frozen=True, kw_only=True):
    """All schedules, by name."""

    schedules: list[shapes.Schedule]


class UpcomingQuery(Query, frozen=True, kw_only=True):
    """How far to look ahead."""

    upcoming: Annotated[int, Meta(ge=0, le=1000, description="How many next times.")] = 5


class ScheduleAhead(shapes.Schedule, frozen=True, kw_only=True):
    """A schedule, and its next times; while it is paused, those that it would have."""

    upcoming: list[shapes.Moment]


class Fired(Struct, frozen=True, kw_only=True):
    """A job of a schedule."""

    schedule: str
    id: str


class Removed(Struct, frozen=True, kw_only=True):
    """A schedule that is gone; one that the code declares comes back with the next start of a worker."""

    name: str
    declared: bool


@get("/schedules", tag="schedules", gives=Schedules)
def list_schedules(call: Call[Query, Body]) -> Schedules:
    """List the schedules."""
    return Schedules(schedules=[shapes.schedule(row, call.hide) for row in call.insight.schedules()])


@get("/schedules/{name}", tag="schedules", gives=ScheduleAhead, query=UpcomingQuery)
def get_schedule(call: Call[UpcomingQuery, Body]) -> ScheduleAhead:
    """One schedule, and its next times."""
    row = call.insight.schedule(call.path["name"])
    now = datetime.fromtimestamp(store_now(call.house.store) / SECOND, UTC)
    shape = shapes.schedule(row, call.hide)
    known = {name: getattr(shape, name) for name in shape.__struct_fields__}
    return ScheduleAhead(**known, upcoming=[time.isoformat() for time in next_runs(row, call.query.upcoming, now)])


@post("/schedules/{name}/pause", tag="schedules", gives=shapes.Schedule)
def pause_schedule(call: Call[Query, Body]) -> shapes.Schedule:
    """A schedule does not fire until it is resumed."""
    call.insight.pause_schedule(call.path["name"])
    return shapes.schedule(call.insight.schedule(call.path["name"]), call.hide)


@post("/schedules/{name}/resume", tag="schedules", gives=shapes.Schedule)
def resume_schedule(call: Call[Query, Body]) -> shapes.Schedule:
    """A schedule fires again from now on; what fell into the pause is not made up for."""
    call.insight.resume_schedule(call.path["name"])
    return shapes.schedule(call.insight.schedule(call.path["name"]), call.hide)


@post("/schedules/{name}/run", tag="schedules", gives=Fired, status=201)
def run_schedule(call: Call[Query, Body]) -> Fired:
    """Enqueue the job of a schedule now, beside its times."""
    return Fired(schedule=call.path["name"], id=call.insight.run_schedule(call.path["name"]))


@operation("DELETE", "/schedules/{name}", tag="schedules", gives=Removed, role=Role.ALL)
def remove_schedule(call: Call[Query, Body]) -> Removed:
    """Forget a schedule; jobs that it fired stay."""
    row = call.insight.schedule(call.path["name"])
    call.insight.remove_schedule(row.name)
    return Removed(name=row.name, declared=row.origin == "code")


# -- workers


class Workers(Struct, frozen=True, kw_only=True):
    """The worker processes."""

    workers: list[shapes.Worker]


class Asked(Struct, frozen=True, kw_only=True):
    """A worker process was asked for something; it answers within seconds."""

    node: int
    asked: str


class WorkerAnswer(Struct, frozen=True, kw_only=True):
    """What a worker process answered last."""

    node: int
    at: shapes.Moment | None
    text: str


@get("/workers", tag="workers", gives=Workers)
def list_workers(call: Call[Query, Body]) -> Workers:
    """List the worker processes, and what they use."""
    used = call.insight.use(1.0)
    return Workers(workers=[shapes.worker(node, used.get(node.id), call.hide) for node in call.insight.workers()])


@get("/workers/{node}", tag="workers", gives=shapes.Worker)
def get_worker(call: Call[Query, Body]) -> shapes.Worker:
    """One worker process."""
    return shapes.worker(_node(call), call.insight.use(1.0).get(call.node), call.hide)


@post("/workers/{node}/stop", tag="workers", gives=Asked, role=Role.ALL, status=202)
def stop_worker(call: Call[Query, Body]) -> Asked:
    """Stop a worker process, as TERM would: what runs may finish."""
    return _asked(call, "stop")


@post("/workers/{node}/dump", tag="workers", gives=Asked, status=202)
def dump_worker(call: Call[Query, Body]) -> Asked:
    """Ask a worker process where each of its threads and coroutines is; `answer` has what it says."""
    return _asked(call, "dump")


@get("/workers/{node}/answer", tag="workers", gives=WorkerAnswer)
def worker_answer(call: Call[Query, Body]) -> WorkerAnswer:
    """What a worker process answered last."""
    said = call.insight.worker_said(call.node)
    if said is None:
        raise Failed(404, f"Worker {call.node} has not answered anything; ask it first.")
    return WorkerAnswer(node=call.node, at=iso(said[0]), text=call.hide.text(said[1]))


def _asked(call: Call[Any, Any], what: str) -> Asked:
    _node(call)
    call.insight.ask_worker(call.node, what)
    return Asked(node=call.node, asked=what)


def _node(call: Call[Any, Any]) -> NodeInfo:
    found = next((node for node in call.insight.workers() if node.id == call.node), None)
    if found is None:
        raise UnknownWorker(f"There is no worker {call.node} (any more).")
    return found
