"""What a running function may ask for, and say."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from dray.errors import DrayError
from dray.model import ids
from dray.model.job import Claimed

LEVELS = ("debug", "info", "warning", "error", "critical")
MAX_LINE = 8_192


class Notes(Protocol):
    """Takes what runs say of themselves to the store."""

    def progress(self, job: Claimed, data: bytes) -> None: ...
    def log(self, job: Claimed, level: str, text: str) -> None: ...


class JobContext:
    """The job that is running, as `current_job()` gives it."""

    __slots__ = ("_cancelled", "_deadline", "_ends", "_job", "_node", "_notes", "app", "ended", "saw_cancelled")

    def __init__(
        self, job: Claimed, notes: Notes, app: Any, deadline: float | None = None, node: Callable[[], int | None] = lambda: None
    ) -> None:
        self._job = job
        self._notes = notes
        self._node = node
        self._deadline = deadline
        self._ends = None if deadline is None else time.monotonic() + deadline - time.time()
        self._cancelled: str | None = None
        #: whether the function has looked and been told that it is to stop
        self.saw_cancelled = False
        #: the app whose worker runs the job
        self.app = app
        #: set when the run is over: what goes on after that (a thread it left behind) is no longer part of the job
        self.ended = False

    @property
    def id(self) -> str:
        """The job's id, as text."""
        return ids.to_text(self._job.id)

    @property
    def task(self) -> str:
        """The name of the task."""
        return self._job.task

    @property
    def queue(self) -> str:
        """The queue that the job came from."""
        return self._job.queue

    @property
    def node(self) -> int | None:
        """The number of the worker that runs it, as `dray workers` tells it."""
        return self._node()

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts there are in all."""
        return self._job.max_attempts

    @property
    def losses(self) -> int:
        """How often a worker has died under this job."""
        return self._job.losses

    @property
    def claim(self) -> int:
        """The claim number: grows with every run, and is what fences this run's writes."""
        return self._job.claim

    @property
    def claimed(self) -> Claimed:
        """The row itself."""
        return self._job

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return tuple(msgspec.json.decode(self._job.tags)) if self._job.tags else ()

    @property
    def enqueued_at(self) -> datetime:
        """When the job was enqueued, by the store's clock."""
        return datetime.fromtimestamp(self._job.enqueued / 1e6, UTC)

    @property
    def due_at(self) -> datetime:
        """When it was due: for a job fired by a schedule, the time of the tick."""
        return datetime.fromtimestamp(self._job.due / 1e6, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When this run will be ended by its timeout; None if it has none."""
        return None if self._deadline is None else datetime.fromtimestamp(self._deadline, UTC)

    @property
    def cancelled(self) -> bool:
        """Whether the run is to end: somebody asked to cancel the job, the worker stops, or its time is over. A function in a
        thread should look from time to time and, when it is told, return: it then counts as cancelled, interrupted or timed out."""
        told = self._cancelled is not None or (self._ends is not None and time.monotonic() >= self._ends)
        self.saw_cancelled = self.saw_cancelled or told
        return told

    @property
    def cancel_reason(self) -> str | None:
        """Why, if so."""
        return self._cancelled

    def ask_to_stop(self, reason: str) -> None:
        """Called by the worker."""
        self._cancelled = reason

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the run is: `done` of `total` (None: not known), with a short note. Shown by the command line and kept
        with the job; the newest counts. Cheap enough to be called in a loop."""
        self._notes.progress(self._job, msgspec.json.encode({"done": done, "total": total, "note": note}))

    def log(self, text: object, level: str = "info") -> None:
        """Write a line into the job's own log, which is kept with it (the newest 1,000 lines of at most 8 KiB)."""
        if level not in LEVELS:
            raise ValueError(f"log(level={level!r}): use one of {', '.join(LEVELS)}.")
        line = str(text).encode("utf-8", "replace").decode("utf-8")
        self._notes.log(self._job, level, line if len(line) <= MAX_LINE else line[:MAX_LINE] + "…")

    def __repr__(self) -> str:
        return f"<job {self.id} of {self.task}, attempt {self.attempt}>"


current: ContextVar[JobContext | None] = ContextVar("dray_current_job", default=None)


def current_job() -> JobContext:
    """The job that is running here. Raises DrayError outside of a job."""
    found = current.get()
    if found is None:
        raise DrayError("current_job() was called where no job is running; call it inside a task that a worker runs.")
    return found


class ResourceMark:
    """Stands as the default of a parameter that the worker supplies."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"resource({self.name!r})"


def resource(name: str) -> Any:
    """The default for a task's parameter that the worker supplies from `@app.resource(name)`: made once per worker process.

    >>> @app.task
    ... def call(n: int, client: httpx.Client = resource("http")) -> int: ...
    """
    return ResourceMark(name)
