"""The values that go into a store's verbs and come out of them. Times are microseconds since 1970 unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from dray.model.filter import Filter as Filter
from dray.model.job import Claimed, Executor, JobInfo, State


class Want(Struct, frozen=True):
    """What a node would like to have."""

    slots: Mapping[Executor, int]  # how many jobs for each kind of slot
    queues: tuple[str, ...] | None  # in the order to look; None is every queue there is
    tasks: frozenset[str]  # what the node can run; a job of another task is left for one that can
    order: int = 0  # turns the order of unlisted queues, so that none of them always comes first


class Catch(Struct, frozen=True):
    """What a node got."""

    jobs: list[Claimed]
    next_due: float | None  # seconds until the first scheduled job is due; None if there is none
    now: int  # the store's time
    expelled: bool = False  # the node's lease ran out and its jobs were given to others: it must enter anew


class NodeEntry(Struct, frozen=True):
    """What a node says of itself when it enters."""

    name: str
    host: str
    pid: int
    info: dict[str, Any] = {}  # queues, tasks, slots, version


class CancelOrder(Struct, frozen=True):
    """A running job is to be cancelled."""

    seq: int
    claim: int
    reason: str


class Ask(Struct, frozen=True):
    """A worker process is asked for something by an operator."""

    what: str  # "stop", or "dump": tell where each of its threads and coroutines is
    number: int  # of the ask, for the answer


class Orders(Struct, frozen=True):
    """The answer to a renewal."""

    expelled: frozenset[int]  # nodes whose lease had run out: their jobs were given to others
    cancels: dict[int, list[CancelOrder]]  # by node


class ScheduleRow(Struct, frozen=True):
    """A schedule as it is kept. Times are microseconds since 1970, the window is in seconds."""

    name: str
    task: str
    queue: str
    executor: int
    priority: int
    max_attempts: int
    spec: str
    tz: str
    args: bytes
    options: bytes | None
    tags: str | None
    catch_up: str
    window: float
    overlap: str
    origin: str
    paused: int | None = None
    last: int = 0
    next: int = 0
    fired: int | None = None
    missed: int = 0


class Page(Struct, frozen=True):
    """Some jobs, newest first, and where the next page begins, as `find` takes it back (None: there is none). `searched`: the
    search stopped at its bound before it had found as many as were wanted, after it had looked at so many jobs; it goes on at
    `next`. None: it did not."""

    jobs: list[JobInfo]
    next: str | None
    searched: int | None = None


class Sifted(Struct, frozen=True):
    """All that match among some jobs, newest first: their ids and states; how many jobs were looked at (at the end there may have
    been fewer), and where to go on (None: all have been looked at)."""

    jobs: list[tuple[bytes, State]]
    next: str | None
    searched: int


class Ending(Struct, frozen=True):
    """How far a job is, and with what it ended."""

    state: State
    result: bytes | None
    error: Any
    reason: str | None
    task: str
    attempt: int


class RunRecord(Struct, frozen=True):
    """One past run of a job. Times are microseconds since 1970."""

    claim: int
    attempt: int
    word: str
    node: int | None
    started: int | None
    finished: int
    reason: str | None
    error: Any


class LogLine(Struct, frozen=True):
    """One line that a run wrote with `current_job().log()`."""

    line: int
    at: int
    claim: int
    level: str
    text: str


class NodeInfo(Struct, frozen=True):
    """A worker process as the store knows it."""

    id: int
    name: str
    host: str
    pid: int
    alive: bool
    entered: int
    renewed: int
    claimed: int | None
    stopping: bool
    running: int
    info: Any


class QueueInfo(Struct, frozen=True):
    """A queue: how many jobs are in each state, since when it is paused, when its oldest ready job was due."""

    name: str
    counts: dict[str, int]
    paused: int | None
    paused_by: str | None
    oldest_ready: int | None


class Holder(Struct, frozen=True):
    """A session of a database server in whose transaction something is locked."""

    pid: int
    application: str
    state: str
    age: int | None  # microseconds since its transaction began


class Figure(Struct, frozen=True):
    """Something that was measured in some span of time: one row, see `dray.model.figures`. Its key is all but the data."""

    kind: str  # of `figures.KINDS`
    at: int  # when the span began, microseconds since 1970: a multiple of the span
    span: int  # seconds
    name: str  # what it is about: a queue and a task, a worker; "" is all together
    data: bytes  # MessagePack
    source: str = ""  # who measured it, until it has been added up with what others have


class AuditEntry(Struct, frozen=True):
    """What somebody did. `at` is the store's time, in microseconds since 1970."""

    by: str  # who
    via: str  # "dashboard", "api", "cli" …
    action: str  # "retry", "pause queue" …
    target: str  # the id of a job, the name of a queue, a filter
    detail: str = ""  # what came of it, for people
    number: int = 0  # grows; given by the store
    at: int = 0  # given by the store


class Space(Struct, frozen=True):
    """What the store keeps under one name (a table, a kind of key), and how much room that takes. An estimate where counting
    would be slow; None where the engine does not tell."""

    name: str  # in brackets what is no table or key: "(file)", "(free)" on SQLite, "(server)" on Redis
    rows: int | None
    size: int | None  # bytes, indexes included


class Chores(Struct, frozen=True):
    """What there is for maintenance to do."""

    dead: bool  # nodes whose lease has run out
    expired: bool  # waiting jobs whose time to start is over
    prunable: bool  # finished jobs whose time to be kept is over
    blocked: bool  # jobs that wait for the earlier run of their schedule
    next_tick: float | None  # seconds until a schedule is to fire; None if there is none
    untidy: bool = False  # something of the store's own, see `tidy`


class Capabilities(Struct, frozen=True):
    """What a store can do beyond the protocols."""

    transactions: bool = False  # jobs in the caller's transaction, tasks with `transactional=True`
