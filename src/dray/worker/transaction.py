"""Tasks with `transactional=True`: what the function writes and that the job has succeeded commit together or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from dray.app import Dray
from dray.errors import ConfigurationError, NotSupported, StaleClaim
from dray.model.job import Claimed
from dray.model.lifecycle import decide
from dray.model.outcome import Outcome, Returned
from dray.store.sqlite.store import SqliteStore
from dray.store.sqlite.trouble import BUSY_AFTER, busy, is_busy, translated
from dray.task import Task, connection_kind


def run_in_transaction(
    app: Dray, task: Task[..., Any], job: Claimed, args: list[Any], kwargs: Mapping[str, Any]
) -> Outcome:
    """Call a plain function in a transaction of the store's database. Raises what the function raises, StaleClaim, StoreError."""
    transaction = Transaction(app)
    transaction.begin()
    with transaction as connection:
        with _as_wanted(task, connection) as (wanted, flush):
            with app.bind(connection):
                value = task.func(*args, **kwargs, **wanted)
            flush()
            return _record(app, task, job, value, connection)


async def arun_in_transaction(
    app: Dray, task: Task[..., Any], job: Claimed, args: list[Any], kwargs: Mapping[str, Any]
) -> Outcome:
    """The same for a coroutine function; one at a time on a loop."""
    transaction = Transaction(app)
    # Waiting for one's turn to write may take a while, and the event loop has other things to do.
    begun = asyncio.get_running_loop().run_in_executor(None, transaction.begin)
    try:
        await asyncio.shield(begun)
    except asyncio.CancelledError:
        begun.add_done_callback(lambda done: transaction.close() if done.exception() is None else None)
        raise
    with transaction as connection:
        with _as_wanted(task, connection) as (wanted, flush):
            with app.bind(connection):
                value = await task.func(*args, **kwargs, **wanted)
            flush()
            return _record(app, task, job, value, connection)


def _record(app: Dray, task: Task[..., Any], job: Claimed, value: Any, connection: sqlite3.Connection) -> Outcome:
    if not connection.in_transaction:
        raise ConfigurationError(
            f"The transactional task {task.name} committed or rolled back its connection itself; leave that to the worker."
        )
    result = None if value is None else task.signature.encode_result(value)
    outcome = Returned(result, settled=True)
    move = decide(job, outcome, job.started, task.rules_for(job.options))
    if app.store.bound(connection).run(app.store.plans.settle, [move]):
        raise StaleClaim(
            f"This run of {task.name} has lost its claim on the job; everything that it wrote in its transaction is rolled back."
        )
    return outcome


class Transaction:
    """A transaction on a connection of its own, to be entered once it has begun: then committed, or rolled back by an error."""

    def __init__(self, app: Dray) -> None:
        store = app.store
        if not isinstance(store, SqliteStore):
            raise NotSupported(f"transactional=True is not supported by the store {store.where}.")
        self._store = store
        self._pid = os.getpid()
        self._connection, self._gate = store.transaction()

    def begin(self) -> None:
        """Wait for the write lock: a transaction that began as a reader might not be let in later. Raises StoreError."""
        try:
            if not self._gate.take(BUSY_AFTER):
                raise busy(self._store.where)
            with translated(self._store.where):
                self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        for last in (False,) * 5 + (True,):
            try:
                self._connection.execute("begin immediate")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error) or last:
                    raise

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, kind: object, error: object, _: object) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # the function forked, and this is the copy: the transaction is not its own
        connection = self._connection
        try:
            if kind is not None:
                if connection.in_transaction:
                    connection.rollback()
                return
            with translated(self._store.where):
                connection.commit()
        finally:
            self.close()
        self._store.bell.ring({"done", "work"})

    def close(self) -> None:
        """End it; what is not committed is rolled back."""
        self._connection.close()
        self._gate.give()
        self._gate.close()


@contextlib.contextmanager
def _as_wanted(task: Task[..., Any], connection: sqlite3.Connection) -> Iterator[tuple[dict[str, Any], Any]]:
    """The connection in the form that the function's parameter asks for, by name; and what to call before the commit."""
    found = wanted_connections(task)
    if not found:
        raise ConfigurationError(
            f"The transactional task {task.name} has no parameter for its connection; annotate one with sqlite3.Connection, or "
            "with Connection or Session of SQLAlchemy."
        )
    kinds = set(found.values())
    if kinds == {"sqlite3"}:
        yield dict.fromkeys(found, connection), lambda: None
        return
    from dray.integrations.sqlalchemy import over_connection

    with over_connection(connection) as (alchemy, session):
        given = {
            name: connection if kind == "sqlite3" else alchemy if kind == "sqlalchemy.Connection" else session
            for name, kind in found.items()
        }
        yield given, session.flush


def wanted_connections(task: Task[..., Any]) -> dict[str, str]:
    """The parameters of a task that take its connection, and which kind each takes."""
    hints = inspect.get_annotations(task.func, eval_str=True)
    return {
        name: kind
        for name in task.signature.injected_names
        if name not in task.resources and (kind := connection_kind(hints.get(name))) is not None
    }
