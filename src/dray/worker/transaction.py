"""Tasks with `transactional=True`: what the function writes and that the job has succeeded commit together or not at all."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from dray.app import Dray
from dray.errors import ConfigurationError, NotSupported, StaleClaim
from dray.model.job import Claimed
from dray.model.lifecycle import Move, decide
from dray.model.outcome import Outcome, Returned
from dray.store.protocol import Held
from dray.task import Task, connection_kind
from dray.wording import without_transactions

#: the packages whose connections are given as they are; SQLAlchemy's stand over one of these
DRIVERS = ("sqlite3", "psycopg", "asyncpg")


def run_in_transaction(
    app: Dray, task: Task[..., Any], job: Claimed, args: list[Any], kwargs: Mapping[str, Any]
) -> Outcome:
    """Call a plain function in a transaction of the store's database. Raises what the function raises, StaleClaim, StoreError."""
    wanted = wanted_connections(task)
    check(app, task, wanted)
    with app.store.transactions.held(task.name, job, driver_for(wanted)) as held:
        with _as_wanted(wanted, held) as (given, flush):
            with app.bind(held.connection):
                value = task.func(*args, **kwargs, **given)
            flush()
            outcome, move = _success(task, job, value)
            if not held.record(move):
                raise _stale(task)
    return outcome


async def arun_in_transaction(
    app: Dray, task: Task[..., Any], job: Claimed, args: list[Any], kwargs: Mapping[str, Any]
) -> Outcome:
    """The same for a coroutine function."""
    wanted = wanted_connections(task)
    check(app, task, wanted)
    async with app.store.transactions.aheld(task.name, job, driver_for(wanted)) as held:
        async with _as_wanted_async(wanted, held) as (given, flush):
            with app.bind(held.connection):
                value = await task.func(*args, **kwargs, **given)
            await flush()
            outcome, move = _success(task, job, value)
            if not await held.arecord(move):
                raise _stale(task)
    return outcome


async def arun_alone(
    app: Dray, task: Task[..., Any], job: Claimed, args: list[Any], kwargs: Mapping[str, Any]
) -> Outcome:
    """The same on an event loop that ends with the run, and with it the connections that are kept on it."""
    try:
        return await arun_in_transaction(app, task, job, args, kwargs)
    finally:
        await app.store.transactions.aclose()


def _success(task: Task[..., Any], job: Claimed, value: Any) -> tuple[Outcome, Move]:
    outcome = Returned(None if value is None else task.signature.encode_result(value), settled=True)
    return outcome, decide(job, outcome, job.started, task.rules_for(job.options))


def _stale(task: Task[..., Any]) -> StaleClaim:
    return StaleClaim(
        f"This run of {task.name} has lost its claim on the job; everything that it wrote in its transaction is rolled back."
    )


# -- which connections


def check_all(app: Dray) -> None:
    """Raises ConfigurationError if a transactional task asks for a connection that it cannot have, or for any of a store that has
    no transactions. What is wrong with its annotations themselves is told by its runs, as with other tasks."""
    for task in app.tasks.values():
        if task.transactional:
            try:
                wanted = wanted_connections(task)
            except Exception:
                continue
            if wanted or not app.store.can.transactions:
                check(app, task, wanted)


def check(app: Dray, task: Task[..., Any], wanted: Mapping[str, str]) -> None:
    """Raises ConfigurationError if a transactional task asks for no connection, or for one that it cannot have."""
    store = app.store
    if not store.can.transactions:
        raise NotSupported(without_transactions(task.name, store.where))
    possible = store.transactions.kinds(task.is_async)
    if not wanted:
        raise ConfigurationError(
            f"The transactional task {task.name} has no parameter for its connection; annotate one with {_or(possible)}."
        )
    colour = "an `async def`" if task.is_async else "a plain function"
    for name, kind in wanted.items():
        if kind not in possible:
            raise ConfigurationError(
                f"The parameter {name} of the transactional task {task.name} asks for a {kind}, but the task is {colour} and its "
                f"jobs are kept in {store.where}; annotate it with {_or(possible)}."
            )
    kinds = set(wanted.values())
    if "asyncpg.Connection" in kinds and len(kinds) > 1:
        raise ConfigurationError(
            f"The transactional task {task.name} asks for {' and '.join(sorted(kinds))}, which cannot be one connection; ask for "
            "one of them."
        )


def _or(kinds: tuple[str, ...]) -> str:
    return " or ".join((", ".join(kinds[:-1]), kinds[-1])) if len(kinds) > 1 else kinds[0]


def wanted_connections(task: Task[..., Any]) -> dict[str, str]:
    """The parameters of a task that take its connection, and which kind each takes."""
    hints = inspect.get_annotations(task.func, eval_str=True)
    return {
        name: kind
        for name in task.signature.injected_names
        if name not in task.resources and (kind := connection_kind(hints.get(name))) is not None
    }


def driver_for(wanted: Mapping[str, str]) -> str:
    """Which driver is to make the connection: "sqlite3", "psycopg", "asyncpg", or "" where the store may choose."""
    return next((word for kind in wanted.values() if (word := kind.partition(".")[0]) in DRIVERS), "")


# -- in the form that the function asks for

Given = dict[str, Any]


@contextlib.contextmanager
def _as_wanted(wanted: Mapping[str, str], held: Held) -> Iterator[tuple[Given, Callable[[], object]]]:
    """The connection in the form that each parameter asks for, by name; and what to call before the success is recorded."""
    if not any(kind.startswith("sqlalchemy.") for kind in wanted.values()):
        yield dict.fromkeys(wanted, held.connection), lambda: None
        return
    from dray.integrations.sqlalchemy_over import Over

    over: Over = held.keep.setdefault("sqlalchemy", None) or Over(held.connection)
    held.keep["sqlalchemy"] = over
    with over.opened() as (connection, session):
        yield _given(wanted, held, connection, session), session.flush


@contextlib.asynccontextmanager
async def _as_wanted_async(
    wanted: Mapping[str, str], held: Held
) -> AsyncIterator[tuple[Given, Callable[[], Awaitable[object]]]]:
    if not any(kind.startswith("sqlalchemy.Async") for kind in wanted.values()):
        with _as_wanted(wanted, held) as (given, flush):

            async def flushed() -> None:
                flush()

            yield given, flushed
        return
    from dray.integrations.sqlalchemy_over import AsyncOver

    over: AsyncOver = held.keep.setdefault("sqlalchemy", None) or AsyncOver(held.connection)
    held.keep["sqlalchemy"] = over
    async with over.opened() as (connection, session):
        yield _given(wanted, held, connection, session), session.flush


def _given(wanted: Mapping[str, str], held: Held, connection: Any, session: Any) -> Given:
    forms = {"Connection": connection, "AsyncConnection": connection, "Session": session, "AsyncSession": session}
    return {
        name: forms[kind.partition(".")[2]] if kind.startswith("sqlalchemy.") else held.connection for name, kind in wanted.items()
    }
