"""Transactions of tasks that share theirs with the store: on SQLite, the write lock from the first line to the last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dray.errors import ConfigurationError
from dray.model.job import Claimed
from dray.model.lifecycle import Move
from dray.store.sqlite.trouble import BUSY_AFTER, busy, is_busy, translated

if TYPE_CHECKING:
    from dray.store.sqlite.store import SqliteStore

KINDS = ("sqlite3.Connection", "sqlalchemy.Connection", "sqlalchemy.Session")


class SqliteTransactions:
    """Transactions on a SQLite file. Coroutines of one loop take turns: SQLite has one writer, and a second one would wait in the
    database, where it would stop the event loop on which the first one is to go on."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def kinds(self, is_async: bool) -> tuple[str, ...]:
        """What a function may ask for; the same for both colours."""
        return KINDS

    @contextlib.contextmanager
    def held(self, task: str, job: Claimed, driver: str) -> Iterator[Transaction]:
        """A transaction for a run; committed at the end, or rolled back by an error. Raises StoreError, NotSupported."""
        transaction = Transaction(self._store, task)
        transaction.begin()
        with transaction:
            yield transaction

    @contextlib.asynccontextmanager
    async def aheld(self, task: str, job: Claimed, driver: str) -> AsyncIterator[Transaction]:
        """The same for coroutines."""
        loop = asyncio.get_running_loop()
        async with self._turns.setdefault(loop, asyncio.Lock()):
            transaction = Transaction(self._store, task)
            # Waiting for one's turn to write may take a while, and the event loop has other things to do.
            begun = loop.run_in_executor(None, transaction.begin)
            try:
                await asyncio.shield(begun)
            except asyncio.CancelledError:
                begun.add_done_callback(lambda done: transaction.close() if done.exception() is None else None)
                raise
            with transaction:
                yield transaction

    async def aclose(self) -> None:
        """Nothing is kept between transactions."""


class Transaction:
    """A transaction on a connection of its own, to be entered once it has begun: then committed, or rolled back by an error."""

    def __init__(self, store: SqliteStore, task: str) -> None:
        self._store = store
        self._task = task
        self._pid = os.getpid()
        self.connection, self._gate = store.transaction()
        self.keep: dict[str, Any] = {}

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
                self.connection.execute("begin immediate")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error) or last:
                    raise

    def record(self, move: Move) -> bool:
        """Write what became of the job; whether its claim was still valid. Raises ConfigurationError, StoreError."""
        if not self.connection.in_transaction:
            raise ConfigurationError(
                f"The transactional task {self._task} committed or rolled back its connection itself; leave that to the worker."
            )
        return not self._store.bound(self.connection).run(self._store.plans.settle, [move])

    async def arecord(self, move: Move) -> bool:
        """The same for coroutines."""
        return self.record(move)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # the function forked, and this is the copy: the transaction is not its own
        connection = self.connection
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
        self.connection.close()
        self._gate.give()
        self._gate.close()
