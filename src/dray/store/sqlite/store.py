"""An open SQLite store: plans, sessions and the bell, put together."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dray.errors import NotSupported, WrongDatabase
from dray.model.clock import Clock, SystemClock
from dray.store.bell import Bell, Listener
from dray.store.plan import Plan
from dray.store.sql.sentences import Sentences
from dray.store.sqlite import schema
from dray.store.sqlite.edge import BoundSession, connect, plain_cursor
from dray.store.sqlite.gate import Gate
from dray.store.sqlite.plans import SqlitePlans
from dray.store.sqlite.session import SqliteSession
from dray.store.sqlite.transaction import SqliteTransactions
from dray.store.sqlite.trouble import translated
from dray.store.values import Capabilities

T = TypeVar("T")


class SqliteStore:
    """The embedded store. `path` None keeps everything in memory, for tests: it ends with the process."""

    can = Capabilities(transactions=True)
    round = 1.0

    def __init__(
        self, path: Path | None, *, synchronous: str = "full", migrate: bool = True, clock: Clock | None = None,
        url: str = "",
    ) -> None:
        self.url = url
        self.path = path
        self.clock = clock or SystemClock()
        self.plans = SqlitePlans(sentences())
        self.bell = Bell(None if path is None else path.with_name(path.name + "-bell"))
        self.session = SqliteSession(path, clock=self.clock, bell=self.bell, synchronous=synchronous)
        self.transactions = SqliteTransactions(self)
        try:
            with translated(self.where):
                if migrate:
                    schema.migrate(self.session.writer, self.where)
                else:
                    schema.require(self.session.writer, self.where)
        except BaseException:
            self.session.close()
            raise

    @property
    def where(self) -> str:
        """The place, for people."""
        return self.session.where

    @property
    def shared(self) -> bool:
        """Whether other processes can use it too."""
        return self.path is not None

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out a verb of `plans` in one transaction. Raises StoreError."""
        return self.session.run(verb, *args)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines."""
        return await self.session.arun(verb, *args)

    def held_up(self) -> bool:
        """Whether somebody keeps the file from being written for longer than a second."""
        if self.path is None:
            return False
        gate = Gate(self.path.with_name(self.path.name + "-gate"))
        try:
            if not gate.take(1.0):
                return True
            gate.give()
            return False
        finally:
            gate.close()

    def pulse(self) -> int:
        """A number that is another one after somebody else's commit; cheap, takes no lock."""
        return self.session.pulse()

    def listen(self, *kinds: str) -> Listener:
        """Be woken when there is "work", when a job is "done", or when there are "orders"."""
        return self.bell.listen(*kinds)

    def bound(self, connection: Any) -> BoundSession:
        """A session over the caller's `sqlite3` connection. Raises WrongDatabase or NotSupported."""
        if not isinstance(connection, sqlite3.Connection) and not getattr(connection, "speaks_sqlite", False):
            raise NotSupported(
                f"bind() was given a {type(connection).__module__}.{type(connection).__qualname__}; a SQLite store takes a "
                "sqlite3.Connection, or a SQLAlchemy Connection or Session over one."
            )
        if self.path is None:
            raise WrongDatabase("A store in memory cannot share a transaction with your connection; use a file (sqlite:///name.db).")
        with translated(self.where):
            files = [row[2] for row in plain_cursor(connection).execute("pragma database_list") if row[1] == "main"]
        if not files or not files[0] or not os.path.exists(self.path) or not os.path.samefile(files[0], self.path):
            raise WrongDatabase(
                f"bind() was given a connection to {files[0] or 'a database in memory'}, but the jobs are kept in {self.path}; "
                "give a connection to that file, or make the app with the URL of yours."
            )
        return BoundSession(connection, clock=self.clock, bell=self.bell, where=self.where)

    def transaction(self) -> tuple[sqlite3.Connection, Gate]:
        """A connection of its own to the same file, and a gate of its own, for a task that shares its transaction."""
        if self.path is None:
            raise NotSupported("A store in memory has no transactional tasks; use a file (sqlite:///name.db).")
        return connect(self.path, "full"), Gate(self.path.with_name(self.path.name + "-gate"))

    def close(self) -> None:
        """Close it."""
        self.session.close()


_sentences: Sentences | None = None


def sentences() -> Sentences:
    """The dialect, read once."""
    global _sentences
    if _sentences is None:
        _sentences = Sentences(Path(__file__).parent / "sql")
    return _sentences
