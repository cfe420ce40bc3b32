"""A job is data: one call of a task that the store keeps. It knows no queue object, no app and no store."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from msgspec import Struct


class State(StrEnum):
    """Where a job is in its life. The last three are final."""

    SCHEDULED = "scheduled"  # due later; also waiting for a retry
    READY = "ready"
    RUNNING = "running"
    BLOCKED = "blocked"  # waits for other jobs
    SLEEPING = "sleeping"  # a durable task waits for time or an event
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # gave up: the dead-letter state
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Executor(IntEnum):
    """Which slots of a worker a job needs."""

    ASYNC = 0
    THREAD = 1
    PROCESS = 2

    @property
    def word(self) -> str:
        """As users write it: "async", "thread" or "process"."""
        return self.name.lower()


EXECUTORS = {e.word: e for e in Executor}

PRIORITY_RANGE = (-100, 100)
DEFAULT_QUEUE = "default"
DEFAULT_MAX_ATTEMPTS = 20
CRASH_BUDGET = 3
DAY = 86_400.0
KEEP_SUCCEEDED = 1 * DAY
KEEP_CANCELLED = 7 * DAY
KEEP_FAILED = 30 * DAY


class JobOptions(Struct, frozen=True, omit_defaults=True):
    """What is kept with one job apart from its task. Durations in seconds, sizes in bytes."""

    timeout: float | None = None
    result_ttl: float | None = None
    memory_limit: int | None = None
    backoff: dict[str, Any] | None = None
    crash_budget: int | None = None
    #: the headers of whoever enqueued it (traceparent, tracestate, baggage …), for those who watch its runs
    trace: dict[str, str] | None = None
    schedule: str | None = None  # the schedule that it is for


class NewJob(Struct, frozen=True, gc=False):
    """A job that is about to be written."""

    id: bytes
    task: str
    args: bytes  # one JSON object, by parameter name
    queue: str = DEFAULT_QUEUE
    executor: int = Executor.ASYNC
    priority: int = 0
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    delay: float = 0.0  # seconds from the store's now
    at: int | None = None  # microseconds since 1970, instead of a delay
    expires_in: float | None = None  # seconds from the store's now
    expires_at: int | None = None
    tags: str | None = None  # JSON array
    options: bytes | None = None  # JSON object: what this one job sets apart from its task
    schedule: str | None = None  # the schedule that fired it
    parent: bytes | None = None  # the job whose run enqueued it


class Claimed(Struct, frozen=True, gc=False, array_like=True):
    """A job in a node's hands. `claim` is the fencing token; every write about the run names it."""

    seq: int
    id: bytes
    task: str
    args: bytes
    queue: str
    executor: int
    claim: int
    attempt: int  # numbered from 1, this run included
    losses: int  # how often a worker died under it
    max_attempts: int
    due: int
    enqueued: int
    options: bytes | None = None
    tags: str | None = None
    rank: int = 0
    expires: int | None = None
    started: int = 0  # the store's time of the claim


class JobInfo(Struct, frozen=True, kw_only=True):
    """Everything the store knows of a job, for people and for handles. Times are microseconds since 1970."""

    id: str
    task: str
    queue: str
    state: State
    priority: int
    executor: str
    attempt: int
    max_attempts: int
    losses: int
    claim: int
    args: Any
    tags: tuple[str, ...] = ()
    due: int = 0
    enqueued: int = 0
    started: int | None = None
    finished: int | None = None
    expires: int | None = None
    prune_after: int | None = None
    node: int | None = None
    options: Any = None
    result: bytes | None = None
    error: Any = None
    reason: str | None = None  # why it was cancelled, or is to be
    hold: str | None = None  # why it is parked although it is ready
    progress: Any = None
    schedule: str | None = None
    parent: str | None = None
