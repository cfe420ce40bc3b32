"""Dray: an application's tasks, and the store that holds their jobs."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import msgspec

from dray.config import settings
from dray.context import JobContext, current
from dray.errors import ConfigurationError, NotEncodable, PayloadTooLarge, StaleClaim, UnknownTask
from dray.handle import AnyResult, JobHandle
from dray.insight import Insight, raw_id
from dray.model import ids
from dray.model.duration import size
from dray.model.job import Claimed, JobInfo, NewJob
from dray.model.outcome import Outcome
from dray.observe.sending import Observer, sent
from dray.options import check, check_name
from dray.schedules import Schedules, schedule_row
from dray.store.open import absolute, open_store
from dray.store.protocol import Bound, Store
from dray.task import AsyncTask, Call, SyncTask, Task

if TYPE_CHECKING:
    from dray.codec.signature import Signature
    from dray.worker.embedded import EmbeddedWorker

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Middleware = Callable[[JobContext], Generator[None, Outcome, None]]

MOST_SIZE = 512 * 1024**2  # PostgreSQL keeps 1 GB in a value, SQLite 10^9 bytes; twice as much passes through memory
NUL = b"\\u0000"
NUL_CHARACTER = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not a backslash that is itself escaped

BULK_TRANSACTION = 10_000  # jobs in one transaction
BULK_BUFFER = 100_000  # jobs that are checked before the first of them is written


class Dray:
    """An application: its tasks, and the store that holds their jobs.

    `url`: where jobs are kept; None takes DRAY_URL, the configuration file, or `sqlite:///dray.db` in the current folder. The
    store is opened when it is first needed. `size_limit`: of one job's encoded arguments, and of its result (default 256 KiB).
    `middleware`: generator functions, each given the job, run until their `yield` before the function and sent its Outcome
    after it. `migrate`: whether to bring the schema up to date when the store is opened; otherwise `dray migrate` does. None takes
    the setting of that name: DRAY_MIGRATE, the configuration file, or `auto`, which does it.
    """

    def __init__(
        self, url: str | None = None, *, size_limit: int | str = "256KiB", middleware: Sequence[Middleware] = (),
        migrate: bool | None = None,
    ) -> None:
        self._url = url
        self._migrate = migrate
        self._store: Store | None = None
        self._opening = threading.Lock()
        self._bound: ContextVar[Bound | None] = ContextVar("dray_bound", default=None)
        self._tasks: dict[str, Task[..., Any]] = {}
        self.size_limit = size(size_limit, "size_limit")
        if self.size_limit > MOST_SIZE:
            raise ConfigurationError(
                f"size_limit is {size_limit!r}: use at most {MOST_SIZE // 1024**2} MiB, what every store can keep in one job."
            )
        self.middleware = tuple(middleware)
        #: who watches what is enqueued
        self.observers: list[Observer] = []
        self._observed = False
        self.schedules = Schedules(self)
        self.start_hooks: list[Callable[[], Any]] = []
        self.stop_hooks: list[Callable[[], Any]] = []
        self.resources: dict[str, Callable[[], Any]] = {}
        frame = sys._getframe(1)
        #: the module that made the app, so that child processes can find it again
        self.module: str = frame.f_globals.get("__name__", "__main__")

    # -- the store

    @property
    def url(self) -> str:
        """Where jobs are kept."""
        return self._url if self._url is not None else str(settings()["url"].value)

    @property
    def _migrates(self) -> bool:
        """Whether the schema is brought up to date when the store is opened."""
        return self._migrate if self._migrate is not None else settings()["migrate"].value == "auto"

    @property
    def store(self) -> Store:
        """The open store. Raises StoreError, ConfigurationError."""
        if self._store is None:
            self.observe()
            with self._opening:
                if self._store is None:
                    self._store = open_store(self.url, migrate=self._migrates)
        return self._store

    @property
    def insight(self) -> Insight:
        """Questions about jobs, queues and workers, and what an operator may do."""
        return Insight(self.store)

    def configure(self, *, url: str | None = None, migrate: bool | None = None) -> None:
        """Change where jobs are kept, before the store is first used. Raises ConfigurationError after that."""
        with self._opening:
            if self._store is not None and url is not None and absolute(url) != self._store.url:
                raise ConfigurationError(f"The store {self._store.url} is open already; configure the app before it is first used.")
            self._url = url if url is not None else self._url
            self._migrate = migrate if migrate is not None else self._migrate

    def observe(self) -> None:
        """Switch on what the settings ask for: traces. Done when the store is opened, and once only. Raises ConfigurationError."""
        if self._observed:
            return
        self._observed = True
        if settings()["tracing"].value:
            from dray.observe import tracing

            tracing.instrument(self)

    def close(self) -> None:
        """Close the store; the next use opens it again."""
        with self._opening:
            if self._store is not None:
                self._store.close()
                self._store = None

    @contextlib.contextmanager
    def bind(self, connection: Any) -> Iterator[None]:
        """Inside, jobs are written on `connection`: they exist if and only if its transaction commits.

        A connection to the store's own database: on SQLite, a `sqlite3.Connection`; on PostgreSQL, a connection of psycopg (3,
        blocking or async, also one from a pool) or of asyncpg, or Django's; on both, a SQLAlchemy Connection or Session (also
        async) over such a one. On an async connection, use `aenqueue`. Raises WrongDatabase, NotSupported; on an async connection,
        the first `aenqueue` raises WrongDatabase.
        """
        from dray.integrations.connections import bound

        session = bound(self.store, connection)
        token = self._bound.set(session)
        try:
            yield
        finally:
            self._bound.reset(token)
            session.left()

    # -- tasks

    @overload
    def task(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def task(self, func: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def task(self, func: None = None, /, *, name: str | None = None, **options: Any) -> TaskMaker: ...
    def task(self, func: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
        """Register a function: `@app.task` or `@app.task(queue="mail", max_attempts=8)`.

        Options: queue ("default"), priority (-100…100, 0), max_attempts (20), backoff (exponential from 5 s, cap 1 h),
        retry_on, give_up_on, timeout (none), executor ("async" for `async def`, else "thread"; "process" on request or with a
        timeout), delay, expires, tags, result_ttl, memory_limit, crash_budget (3), transactional (False). `name` is
        `module.qualname` unless given. Raises ConfigurationError.
        """
        maker = TaskMaker(self, name, options)
        return maker if func is None else maker(func)

    def register(self, task: Task[..., Any]) -> None:
        """Called by `task`. Raises ConfigurationError if another function has that name, or if it is none."""
        check_name(task.name, "the name of a task")
        old = self._tasks.get(task.name)
        if old is not None and (old.func.__module__, old.func.__qualname__) != (task.func.__module__, task.func.__qualname__):
            raise ConfigurationError(f"There are two tasks named {task.name!r}; give one of them another name=….")
        self._tasks[task.name] = task

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The registered tasks, by name."""
        return self._tasks

    def task_named(self, name: str) -> Task[..., Any]:
        """The task of that name; its last part is enough if no other ends so. Raises UnknownTask."""
        found = self._tasks.get(name)
        if found is not None:
            return found
        ending = [task for full, task in self._tasks.items() if full.endswith("." + name)]
        if len(ending) == 1:
            return ending[0]
        import difflib

        close = difflib.get_close_matches(name, self._tasks, 1) or sorted(self._tasks)[:5]
        raise UnknownTask(f"There is no task {name!r} in this app; did you mean {', '.join(close) or 'none: it has no tasks'}?")

    def job(self, id: str) -> JobHandle[Any]:
        """The handle of a job that somebody else enqueued, by its id. Raises UnknownJob."""
        return self._handle_of(raw_id(id), self.insight.job(id))

    async def ajob(self, id: str) -> JobHandle[Any]:
        """`job` for coroutines."""
        return self._handle_of(raw_id(id), await self.insight.ajob(id))

    def _handle_of(self, raw: bytes, info: JobInfo) -> JobHandle[Any]:
        task = self._tasks.get(info.task)
        return JobHandle(raw, self.store, AnyResult() if task is None else task.signature)

    def schedule(
        self, when: str | float | timedelta, *, tz: str = "UTC", catch_up: str = "one", window: float = 86_400.0,
        overlap: str = "skip", name: str | None = None, args: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]:
        """Run a task by a cron line or an interval; above `@app.task`. See `app.schedules.put`. `args`: by parameter name.

        >>> @app.schedule("0 7 * * mon", tz="Europe/Berlin", catch_up="one", overlap="skip")
        ... @app.task
        ... def weekly_report() -> None: ...
        """

        def declare(task: F) -> F:
            if not isinstance(task, Task):
                raise ConfigurationError(f"@app.schedule stands above @app.task, but it was given {task!r}; swap the two lines.")
            row = schedule_row(
                name or task.name, task.call(**(args or {})), when, tz=tz, catch_up=catch_up, window=window,
                overlap=overlap, origin="code",
            )  # fmt: skip
            self.schedules.declare(row)
            return task

        return declare

    # -- hooks and resources of workers

    def on_start(self, func: F) -> F:
        """Call `func` (plain or async, no arguments) in each worker process before it takes jobs."""
        self.start_hooks.append(func)
        return func

    def on_stop(self, func: F) -> F:
        """Call `func` (plain or async, no arguments) in each worker process after its last job."""
        self.stop_hooks.append(func)
        return func

    def resource(self, name: str) -> Callable[[F], F]:
        """Register how to make what tasks ask for with `resource(name)`: a function, or a generator that yields it once and
        cleans up after. Made once in each worker process, when first needed; async ones serve async tasks only."""

        def register(func: F) -> F:
            if name in self.resources:
                raise ConfigurationError(f"There are two resources named {name!r}; give one of them another name.")
            self.resources[name] = func
            return func

        return register

    # -- enqueueing (tasks call these)

    def check_size(self, task: str, payload: bytes) -> None:
        """Raises PayloadTooLarge, and NotEncodable for a character that not every store can keep and look for."""
        if len(payload) > self.size_limit:
            raise PayloadTooLarge(
                f"The arguments of {task} take {len(payload):,} bytes, the limit is {self.size_limit:,}; keep large data in a file "
                "or a table and pass its name or id, or raise Dray(size_limit=…)."
            )
        if NUL in payload and NUL_CHARACTER.search(payload):
            raise NotEncodable(
                f"The arguments of {task} contain the character NUL (U+0000), which the text and JSON of a database cannot hold; "
                "take it out, or pass bytes."
            )

    def handle(self, job: NewJob, signature: Signature) -> JobHandle[Any]:
        """The handle of a job of this app."""
        return JobHandle(job.id, self.store, signature)

    def add(self, jobs: Sequence[NewJob]) -> None:
        """Write jobs: in the bound transaction if there is one, else in one of their own. Raises StoreError, StaleClaim."""
        store = self.store
        if not self.observers:
            return self._write(store, jobs)
        with sent(self.observers, jobs) as watched:
            return self._write(store, watched)

    def _write(self, store: Store, jobs: Sequence[NewJob]) -> None:
        session = self._bound.get() or store
        running = self._running()
        if running is None:
            session.run(store.plans.add, jobs)
        elif not session.run(store.plans.add_child, children(jobs, running), running.seq, running.claim):
            raise stale(running)

    async def aadd(self, jobs: Sequence[NewJob]) -> None:
        """`add` for coroutines."""
        store = self.store
        if not self.observers:
            return await self._awrite(store, jobs)
        with sent(self.observers, jobs) as watched:
            return await self._awrite(store, watched)

    async def _awrite(self, store: Store, jobs: Sequence[NewJob]) -> None:
        bound = self._bound.get()
        run = store.arun if bound is None else bound.arun
        running = self._running()
        if running is None:
            await run(store.plans.add, jobs)
        elif not await run(store.plans.add_child, children(jobs, running), running.seq, running.claim):
            raise stale(running)

    def _running(self) -> Claimed | None:
        """The job that enqueues, if one of this app is running here: what a run enqueues that has lost its claim must not be."""
        context = current.get()
        if context is None or context.ended or context.app is not self:
            return None
        return context.claimed

    def enqueue_many(
        self, calls: Iterable[Call[..., R]], *, progress: Callable[[int], object] | None = None
    ) -> list[JobHandle[R]]:
        """Write many jobs in few transactions: `app.enqueue_many(add.call(n, 1) for n in range(100_000))`.

        Up to 100,000 calls are checked before the first is written, and written 10,000 at a time. `progress` is called with the
        number written so far. Raises EnqueueError, StoreError; the error's notes say if something had been written before.
        """
        handles: list[JobHandle[R]] = []
        for jobs, signatures in self._chunks(calls, handles):
            self.add(jobs)
            handles += self._handles(jobs, signatures)
            if progress is not None:
                progress(len(handles))
        return handles

    async def aenqueue_many(
        self, calls: Iterable[Call[..., R]], *, progress: Callable[[int], object] | None = None
    ) -> list[JobHandle[R]]:
        """`enqueue_many` for coroutines."""
        handles: list[JobHandle[R]] = []
        for jobs, signatures in self._chunks(calls, handles):
            await self.aadd(jobs)
            handles += self._handles(jobs, signatures)
            if progress is not None:
                progress(len(handles))
        return handles

    def _handles(self, jobs: list[NewJob], signatures: list[Signature]) -> list[JobHandle[Any]]:
        store = self.store
        return [JobHandle(job.id, store, signature) for job, signature in zip(jobs, signatures, strict=True)]

    def _chunks(
        self, calls: Iterable[Call[..., Any]], written: list[Any]
    ) -> Iterator[tuple[list[NewJob], list[Signature]]]:
        source, fresh = iter(calls), ids.stream()
        while True:
            try:
                buffer = [_chunk(source, fresh) for _ in range(BULK_BUFFER // BULK_TRANSACTION)]
            except Exception as error:
                if written:
                    error.add_note(f"{len(written):,} jobs before it have been enqueued.")
                raise
            for jobs, signatures in buffer:
                if not jobs:
                    return
                yield jobs, signatures

    # -- working

    def worker(self, **options: Any) -> EmbeddedWorker:
        """A real worker inside this process: `with app.worker(): …`, or `async with app.worker(): …`.

        Options: queues ("mail:3,default:1"), concurrency (10), process_slots (one per core), grace (30 s), name. In production
        `dray worker` runs workers as processes of their own.
        """
        from dray.worker.embedded import EmbeddedWorker

        return EmbeddedWorker(self, **options)

    def dashboard(self, **options: Any) -> Any:
        """The dashboard of this app as an ASGI application: `app.mount("/jobs", dray_app.dashboard())`. Needs dray[dashboard].

        Options: title, prefix, read_only, token, user and password, access, redact; see `dray.dashboard.settings`. Without token,
        user or access only this machine may see it. Raises ConfigurationError.
        """
        from dray.dashboard.app import make
        from dray.dashboard.settings import made

        return make(self, made(options))

    def dashboard_wsgi(self, **options: Any) -> Any:
        """The same as a WSGI application, for Flask, Django and others. Needs dray[wsgi]. Options as `dashboard`. Raises
        ConfigurationError."""
        from dray.dashboard.settings import made
        from dray.dashboard.wsgi import WsgiDashboard

        return WsgiDashboard(self, made(options))

    def run_worker(self, **options: Any) -> None:
        """Run a worker in this process until TERM or INT; for small applications. Options as `worker`."""
        self.worker(**options).run()


def _chunk(source: Iterator[Call[..., Any]], fresh: Iterator[bytes]) -> tuple[list[NewJob], list[Signature]]:
    """The next jobs for one transaction. Each call is let go at once: the collector need not look at a hundred thousand."""
    jobs, signatures = [], []
    for id_, call in zip(fresh, itertools.islice(source, BULK_TRANSACTION), strict=False):
        jobs.append(call.job(id_))
        signatures.append(call.task.signature)
    return jobs, signatures


class TaskMaker:
    """What `@app.task(…)` gives: waits for the function."""

    def __init__(self, app: Dray, name: str | None, options: dict[str, Any]) -> None:
        self._app = app
        self._name = name
        self._options = options

    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, func: Callable[P, R], /) -> SyncTask[P, R]: ...
    def __call__(self, func: Callable[..., Any], /) -> Any:
        import inspect

        from dray.task import default_name

        if not callable(func) or isinstance(func, type):
            raise ConfigurationError(f"@app.task was given {func!r}; it takes a function.")
        if isinstance(func, Task):
            raise ConfigurationError(f"{func.name} is a task already; decorate its function once.")
        name = self._name or default_name(func)
        options = check(self._options, f"task {name}", task=True)
        kind = AsyncTask if inspect.iscoroutinefunction(func) else SyncTask
        task: Task[..., Any] = kind(self._app, func, name=name, options=options)
        self._app.register(task)
        return task


def children(jobs: Sequence[NewJob], running: Claimed) -> list[NewJob]:
    """The jobs that a running one enqueues: they know it."""
    return [msgspec.structs.replace(job, parent=running.id) for job in jobs]


def stale(running: Claimed) -> StaleClaim:
    """The error for what a run wanted to enqueue after it had lost its claim."""
    return StaleClaim(
        f"This run (claim {running.claim}) has lost its claim on the job, which was given to another worker or is final; nothing "
        "was enqueued. Stop what the function is doing."
    )

