"""How jobs, queues, workers and schedules look to programs: one structure for each, with the field names that the command line's
`--json` has. Ids are text, times ISO 8601 in UTC, lengths of time seconds.

What users' code wrote (arguments, results, errors, log lines) goes through a `Hider`, so that a face may leave out what nobody
should read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from dray.insight.figures import WorkerUse
from dray.insight.place import Overview as Whole
from dray.model.job import JobInfo, State
from dray.store import values
from dray.wording import iso, readable

STATES = tuple(str(state) for state in State)

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Hider(Protocol):
    """Takes out what nobody should read."""

    def value(self, data: Any, path: tuple[str, ...] = ()) -> Any: ...
    def text(self, text: str) -> str: ...


class Open:
    """Hides nothing."""

    def value(self, data: Any, path: tuple[str, ...] = ()) -> Any:
        """It, as it is."""
        return data

    def text(self, text: str) -> str:
        """It, as it is."""
        return text


NOTHING_HIDDEN = Open()


class Job(Struct, frozen=True, kw_only=True):
    """A job."""

    id: str
    task: str
    queue: str
    state: State
    priority: int
    executor: str
    attempt: int
    max_attempts: int
    losses: int
    args: Any
    tags: list[str]
    options: Any
    due: Moment | None
    enqueued: Moment | None
    started: Moment | None
    finished: Moment | None
    expires: Moment | None
    kept_until: Moment | None
    node: Annotated[int, Meta(description="The worker process that ran it last.")] | None
    result: Any
    error: Any
    reason: Annotated[str, Meta(description="Why it was cancelled, or is to be.")] | None
    hold: Annotated[str, Meta(description="Why it is parked although it is ready.")] | None
    progress: Any
    schedule: str | None
    parent: Annotated[str, Meta(description="The id of the job that enqueued it.")] | None


class Run(Struct, frozen=True, kw_only=True):
    """A past run of a job."""

    claim: int
    attempt: int
    outcome: str
    node: int | None
    started: Moment | None
    finished: Moment | None
    reason: str | None
    error: Any


class LogLine(Struct, frozen=True, kw_only=True):
    """A line that a run logged."""

    line: int
    at: Moment | None
    claim: int
    level: str
    text: str


class Queue(Struct, frozen=True, kw_only=True):
    """A queue. Every state is in `counts`, also those without jobs."""

    name: str
    counts: dict[str, int]
    paused: Annotated[Moment, Meta(description="Since when nothing of it is started.")] | None
    paused_by: str | None
    oldest_ready: Annotated[Moment, Meta(description="When its oldest ready job was due.")] | None


class Use(Struct, frozen=True, kw_only=True):
    """What a worker process used of late. `trend` has cores by minute, oldest first."""

    cpu: Annotated[float, Meta(description="Cores, on average.")]
    memory: Annotated[int, Meta(description="Bytes resident.")]
    busy: Annotated[float, Meta(description="Slots in use, on average.")]
    slots: int
    trend: list[float]


class Worker(Struct, frozen=True, kw_only=True):
    """A worker process."""

    id: int
    name: str
    host: str
    pid: int
    alive: bool
    stopping: bool
    running: int
    entered: Moment | None
    renewed: Moment | None
    claimed: Annotated[Moment, Meta(description="When it last looked for jobs.")] | None
    info: Annotated[Any, Meta(description="What it says of itself: queues, tasks, slots, version.")]
    use: Use | None = None


class Schedule(Struct, frozen=True, kw_only=True):
    """A schedule."""

    name: str
    task: str
    queue: str
    spec: str
    tz: str
    args: Any
    catch_up: str
    window: float
    overlap: str
    origin: str
    priority: int
    max_attempts: int
    paused: Moment | None
    next: Annotated[Moment, Meta(description="When it fires next; null while it is paused.")] | None
    last_fired: Moment | None
    missed: int


# -- made from what insight says


def job(info: JobInfo, hide: Hider = NOTHING_HIDDEN) -> Job:
    """A job."""
    return Job(
        id=info.id, task=info.task, queue=info.queue, state=info.state, priority=info.priority, executor=info.executor,
        attempt=info.attempt, max_attempts=info.max_attempts, losses=info.losses, args=hide.value(info.args), tags=list(info.tags),
        options=hide.value(info.options), due=iso(info.due), enqueued=iso(info.enqueued), started=iso(info.started),
        finished=iso(info.finished), expires=iso(info.expires), kept_until=iso(info.prune_after), node=info.node,
        result=hide.value(readable(info.result)), error=hide.value(info.error), reason=_text(info.reason, hide), hold=info.hold,
        progress=hide.value(info.progress), schedule=info.schedule, parent=info.parent,
    )  # fmt: skip


def run(record: values.RunRecord, hide: Hider = NOTHING_HIDDEN) -> Run:
    """A past run."""
    return Run(
        claim=record.claim, attempt=record.attempt, outcome=record.word, node=record.node, started=iso(record.started),
        finished=iso(record.finished), reason=_text(record.reason, hide), error=hide.value(record.error),
    )  # fmt: skip


def log_line(line: values.LogLine, hide: Hider = NOTHING_HIDDEN) -> LogLine:
    """A line of a job's log."""
    return LogLine(line=line.line, at=iso(line.at), claim=line.claim, level=line.level, text=hide.text(line.text))


def queue(info: values.QueueInfo) -> Queue:
    """A queue."""
    return Queue(
        name=info.name, counts={state: info.counts.get(state, 0) for state in STATES}, paused=iso(info.paused),
        paused_by=info.paused_by, oldest_ready=iso(info.oldest_ready),
    )  # fmt: skip


def worker(node: values.NodeInfo, used: WorkerUse | None = None, hide: Hider = NOTHING_HIDDEN) -> Worker:
    """A worker process."""
    return Worker(
        id=node.id, name=node.name, host=node.host, pid=node.pid, alive=node.alive, stopping=node.stopping, running=node.running,
        entered=iso(node.entered), renewed=iso(node.renewed), claimed=iso(node.claimed), info=hide.value(node.info),
        use=None if used is None else Use(
            cpu=used.cpu, memory=used.memory, busy=used.busy, slots=used.slots, trend=list(used.trend)
        ),
    )  # fmt: skip


def schedule(row: values.ScheduleRow, hide: Hider = NOTHING_HIDDEN) -> Schedule:
    """A schedule."""
    return Schedule(
        name=row.name, task=row.task, queue=row.queue, spec=row.spec, tz=row.tz, args=hide.value(readable(row.args)),
        catch_up=row.catch_up, window=row.window, overlap=row.overlap, origin=row.origin, priority=row.priority,
        max_attempts=row.max_attempts, paused=iso(row.paused), next=None if row.paused else iso(row.next),
        last_fired=iso(row.fired), missed=row.missed,
    )  # fmt: skip


def totals(queues: Iterable[values.QueueInfo]) -> dict[str, int]:
    """How many jobs are in each state, in all queues; every state is there."""
    known = list(queues)
    return {state: sum(one.counts.get(state, 0) for one in known) for state in STATES}


class Health(Struct, frozen=True, kw_only=True):
    """How things are, in a sentence. `level` is "good", "note" or "bad"; `also` has further sentences, the worst first."""

    level: str
    text: str
    also: list[str]


class Overview(Struct, frozen=True, kw_only=True):
    """Everything at one moment."""

    health: Health
    counts: Annotated[dict[str, int], Meta(description="Jobs by state, in all queues.")]
    backlog: Annotated[int, Meta(description="Jobs that are to run now, or do.")]
    oldest_ready_age_s: float | None
    workers_alive: int
    workers_gone: int
    slots: Annotated[int, Meta(description="Of all live workers, for functions of any kind.")]
    schedules: int
    next_schedule: str | None
    next_schedule_at: Moment | None
    queues: list[Queue]


def health(whole: Whole) -> Health:
    """How things are."""
    return Health(level=whole.health.level, text=whole.health.text, also=list(whole.health.also))


def overview(whole: Whole) -> Overview:
    """Everything at one moment."""
    alive = sum(node.alive for node in whole.workers)
    following = min((row for row in whole.schedules if not row.paused and row.next), key=lambda row: row.next, default=None)
    return Overview(
        health=health(whole), counts=totals(whole.queues), backlog=whole.backlog, oldest_ready_age_s=whole.oldest_ready,
        workers_alive=alive, workers_gone=len(whole.workers) - alive, slots=whole.slots, schedules=len(whole.schedules),
        next_schedule=following.name if following else None, next_schedule_at=iso(following.next) if following else None,
        queues=[queue(one) for one in whole.queues],
    )  # fmt: skip


def _text(text: str | None, hide: Hider) -> str | None:
    return None if text is None else hide.text(text)
