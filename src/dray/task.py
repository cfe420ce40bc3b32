"""A task: a function that can be enqueued."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from dray.codec.signature import Signature
from dray.context import ResourceMark
from dray.errors import ConfigurationError
from dray.handle import JobHandle
from dray.model import ids
from dray.model.job import (
    CRASH_BUDGET,
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_QUEUE,
    KEEP_CANCELLED,
    KEEP_FAILED,
    KEEP_SUCCEEDED,
    Executor,
    JobOptions,
    NewJob,
)
from dray.model.lifecycle import Rules, rules_by
from dray.model.retry import DEFAULT_BACKOFF, RetryPolicy
from dray.options import Options, check

P = ParamSpec("P")
R = TypeVar("R")

NO_OPTIONS = Options()
#: What a transactional task may ask for: classes by the package that they are in. By name, so that no driver need be imported.
CONNECTIONS = {
    "sqlite3": ("Connection",),
    "psycopg": ("Connection", "AsyncConnection"),
    "asyncpg": ("Connection",),
    "sqlalchemy": ("Connection", "Session", "AsyncConnection", "AsyncSession"),
}


class Enqueuer(Protocol):
    """What a task needs of an app."""

    def add(self, jobs: list[NewJob]) -> None: ...
    async def aadd(self, jobs: list[NewJob]) -> None: ...
    def check_size(self, task: str, payload: bytes) -> None: ...
    def handle(self, job: NewJob, signature: Signature) -> JobHandle[Any]: ...


class Call(Generic[P, R]):
    """One call of a task, with its arguments checked and encoded, ready for `enqueue_many`."""

    __slots__ = ("options", "payload", "task")

    def __init__(self, task: Task[P, R], payload: bytes, options: Options = NO_OPTIONS) -> None:
        self.task = task
        self.payload = payload
        self.options = options

    def job(self, id: bytes) -> NewJob:
        """The job that this call becomes."""
        return self.task.new_job(id, self.payload, self.options)


class Plain(Struct, frozen=True):
    """How a task's jobs are written when the call says nothing else."""

    queue: str
    executor: int
    priority: int
    max_attempts: int
    delay: float
    expires_in: float | None
    tags: str | None
    options: bytes | None


class Task(Generic[P, R]):
    """A registered function with its defaults. `R` is what it returns (what it awaits to, for `async def`)."""

    def __init__(self, app: Enqueuer, func: Callable[..., Any], *, name: str | None, options: Options) -> None:
        self.app = app
        self.func = func
        self.is_async = inspect.iscoroutinefunction(func)
        self.name = name or default_name(func)
        self.module = func.__module__
        self.options = options
        self.transactional = options.transactional is True
        self.signature = Signature(func, name=self.name, injected=self._is_injected)
        self.resources = {
            p.name: p.default.name
            for p in inspect.signature(func).parameters.values()
            if isinstance(p.default, ResourceMark)
        }
        self.policy = RetryPolicy(
            max_attempts=or_else(options.max_attempts, DEFAULT_MAX_ATTEMPTS),
            backoff=or_else(options.backoff, DEFAULT_BACKOFF),
            retry_on=or_else(options.retry_on, None),
            give_up_on=or_else(options.give_up_on, ()),
        )
        self._newest: tuple[bytes | None, JobOptions] = b"", JobOptions()
        self.plain = self._plain()
        self.rules = self._rules()
        self._newest_rules: tuple[bytes, Rules] = b"", self.rules
        functools.update_wrapper(self, func, updated=())  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    # -- enqueueing

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Write a job that calls this function with these arguments. Raises EnqueueError, StoreError."""
        job = self.new_job(ids.new_id(), self.encode(args, kwargs), NO_OPTIONS)
        self.app.add([job])
        return self.app.handle(job, self.signature)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`enqueue` for coroutines."""
        job = self.new_job(ids.new_id(), self.encode(args, kwargs), NO_OPTIONS)
        await self.app.aadd([job])
        return self.app.handle(job, self.signature)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[P, R]:
        """A call for `app.enqueue_many` or `app.schedules.put`; nothing is written yet. Raises EnqueueError."""
        return Call(self, self.encode(args, kwargs))

    def using(self, **options: Any) -> Using[P, R]:
        """The same task with other options: `add.using(delay="10m", priority=5).enqueue(1, 2)`.

        Options: queue, priority (-100 to 100), max_attempts, backoff, timeout, executor, delay, at, expires, tags, result_ttl,
        memory_limit. Durations are seconds, timedelta or text like "5m"; times must be aware. Raises ConfigurationError.
        """
        return Using(self, check(options, f"using() of {self.name}", task=False))

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments as they are kept. Raises EnqueueError."""
        payload = self.signature.encode(args, kwargs)
        self.app.check_size(self.name, payload)
        return payload

    def new_job(self, id: bytes, payload: bytes, options: Options) -> NewJob:
        """The job for a call of this task."""
        plain = self.plain
        if options is NO_OPTIONS:
            return NewJob(
                id, self.name, payload, plain.queue, plain.executor, plain.priority, plain.max_attempts, plain.delay, None,
                plain.expires_in, None, plain.tags, plain.options,
            )  # fmt: skip
        return NewJob(
            id=id, task=self.name, args=payload,
            queue=or_else(options.queue, plain.queue),
            executor=self.executor_for(options),
            priority=or_else(options.priority, plain.priority),
            max_attempts=or_else(options.max_attempts, plain.max_attempts),
            delay=or_else(options.delay, 0.0 if options.at is not UNSET else plain.delay),
            at=or_else(options.at, None),
            expires_in=or_else(options.expires, None if options.expires_at is not UNSET else plain.expires_in),
            expires_at=or_else(options.expires_at, None),
            tags=plain.tags if options.tags is UNSET else encode_tags(options.tags),
            options=options.kept(self.options),
        )  # fmt: skip

    # -- running

    def executor_for(self, options: Options) -> Executor:
        """Async functions run on the loop, others in a thread; with a timeout or a memory limit in a process, because only that can
        be ended. Raises ConfigurationError for an executor that cannot run the function, or not keep to its memory limit."""
        chosen: Executor | None = or_else(options.executor, or_else(self.options.executor, None))
        limited = options.memory_limit is not UNSET or self.options.memory_limit is not UNSET
        if chosen is None:
            timed = options.timeout is not UNSET or self.options.timeout is not UNSET
            if limited or (timed and not self.is_async):
                return Executor.PROCESS
            return Executor.ASYNC if self.is_async else Executor.THREAD
        if chosen is Executor.ASYNC and not self.is_async:
            raise ConfigurationError(
                f'task {self.name} is no `async def`: executor="async" would block the event loop; leave it out.'
            )
        if chosen is Executor.THREAD and self.is_async:
            raise ConfigurationError(
                f'task {self.name} is an `async def`: executor="thread" is for plain functions; leave it out.'
            )
        if limited and chosen is not Executor.PROCESS:
            raise ConfigurationError(
                f'task {self.name}: memory_limit needs executor="process", which alone can be killed; leave the executor out.'
            )
        return chosen

    def job_options(self, kept: bytes | None) -> JobOptions:
        """What one job says apart, over what the task says."""
        last, found = self._newest
        if last == kept:  # jobs that were enqueued together say the same, and each is asked several times
            return found
        own = _decode_options(kept) if kept else JobOptions()
        found = JobOptions(
            timeout=own.timeout if own.timeout is not None else or_else(self.options.timeout, None),
            result_ttl=own.result_ttl if own.result_ttl is not None else or_else(self.options.result_ttl, None),
            memory_limit=own.memory_limit if own.memory_limit is not None else or_else(self.options.memory_limit, None),
            backoff=own.backoff,
        )
        self._newest = kept, found
        return found

    def rules_for(self, kept: bytes | None) -> Rules:
        """The rules by which the fate of a run is decided."""
        if kept is None:
            return self.rules
        last, rules = self._newest_rules
        if last != kept:
            rules = rules_by(_decode_options(kept), self.rules)
            self._newest_rules = kept, rules
        return rules

    def _plain(self) -> Plain:
        options = self.options
        return Plain(
            queue=or_else(options.queue, DEFAULT_QUEUE),
            executor=self.executor_for(NO_OPTIONS),
            priority=or_else(options.priority, 0),
            max_attempts=self.policy.max_attempts,
            delay=or_else(options.delay, 0.0),
            expires_in=or_else(options.expires, None),
            tags=None if options.tags is UNSET else encode_tags(options.tags),
            options=NO_OPTIONS.kept(options),
        )

    def _rules(self) -> Rules:
        ttl = or_else(self.options.result_ttl, None)
        return Rules(
            backoff=self.policy.backoff,
            crash_budget=or_else(self.options.crash_budget, CRASH_BUDGET),
            keep_succeeded=KEEP_SUCCEEDED if ttl is None else ttl,
            keep_cancelled=KEEP_CANCELLED if ttl is None else ttl,
            keep_failed=KEEP_FAILED if ttl is None else ttl,
        )

    def _is_injected(self, parameter: inspect.Parameter, annotation: Any) -> bool:
        if isinstance(parameter.default, ResourceMark):
            return True
        return self.transactional and connection_kind(annotation) is not None


class SyncTask(Task[P, R]):
    """A task over a plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self.func(*args, **kwargs)  # type: ignore[no-any-return]


class AsyncTask(Task[P, R]):
    """A task over a coroutine function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function here and now; await what it gives."""
        return self.func(*args, **kwargs)  # type: ignore[no-any-return]


class Using(Generic[P, R]):
    """A task with other options."""

    __slots__ = ("options", "task")

    def __init__(self, task: Task[P, R], options: Options) -> None:
        self.task = task
        self.options = options

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """As `Task.enqueue`."""
        job = self.task.new_job(ids.new_id(), self.task.encode(args, kwargs), self.options)
        self.task.app.add([job])
        return self.task.app.handle(job, self.task.signature)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """As `Task.aenqueue`."""
        job = self.task.new_job(ids.new_id(), self.task.encode(args, kwargs), self.options)
        await self.task.app.aadd([job])
        return self.task.app.handle(job, self.task.signature)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[P, R]:
        """As `Task.call`."""
        return Call(self.task, self.task.encode(args, kwargs), self.options)

    def using(self, **options: Any) -> Using[P, R]:
        """Still other options, over these."""
        return Using(self.task, check(options, f"using() of {self.task.name}", task=False).over(self.options))


def default_name(func: Callable[..., Any]) -> str:
    """`module.qualname`. A script run as `__main__` has the name by which a worker imports it."""
    module = func.__module__
    if module == "__main__":
        module = main_module_name()
    if "<locals>" in func.__qualname__ or "<lambda>" in func.__qualname__:
        return f"{module}.{func.__name__}"
    return f"{module}.{func.__qualname__}"


def main_module_name() -> str:
    """The name under which others import the script that is running."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"


def connection_kind(annotation: Any) -> str | None:
    """Which connection an annotation (perhaps `… | None`, perhaps with the type of its rows) asks for, such as
    "psycopg.Connection" or "sqlalchemy.Session"; None if it is no such type."""
    union = get_origin(annotation) in (Union, UnionType)
    for kind in get_args(annotation) if union else (annotation,):
        plain = get_origin(kind) or kind
        if not isinstance(plain, type):
            continue
        for base in plain.__mro__:
            package = base.__module__.partition(".")[0]
            if base.__name__ in CONNECTIONS.get(package, ()):
                return f"{package}.{base.__name__}"
    return None


def encode_tags(tags: tuple[str, ...]) -> str | None:
    """Tags as they are kept."""
    return msgspec.json.encode(tags).decode() if tags else None


def or_else(value: Any, default: Any) -> Any:
    """The value, or the default where it was not given."""
    return default if value is UNSET else value


@functools.lru_cache(maxsize=512)
def _decode_options(kept: bytes) -> JobOptions:
    return msgspec.json.decode(kept, type=JobOptions)
