"""The edge where steps meet a SQLite connection: a store's own, or the caller's."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dray.errors import StoreUnavailable
from dray.model.clock import Clock
from dray.store.bell import Bell
from dray.store.plan import Many, Now, Plan, Query, Ring, Steady, Step, drive
from dray.store.sqlite.trouble import translated

T = TypeVar("T")

ALONE = 5.0  # seconds for which the one who first opens a file waits to have it alone


class Edge:
    """Carries out steps on one connection."""

    __slots__ = ("_clock", "_connection", "rings")

    def __init__(self, connection: Any, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.rings: set[str] = set()

    def do(self, step: Step) -> Any:
        """The answer to one step."""
        kind = type(step)
        if kind is Query:
            return self._connection.execute(step.sentence, step.params).fetchall()  # type: ignore[union-attr]
        if kind is Many:
            return self._connection.executemany(step.sentence, step.rows).rowcount  # type: ignore[union-attr]
        if kind is Now:
            return self._clock.wall()
        if kind is Ring:
            self.rings.add(step.kind)  # type: ignore[union-attr]
            return None
        if kind is Steady:
            return self._clock.boot, self._clock.steady()
        raise TypeError(f"no such step: {step!r}")


class BoundSession:
    """Runs plans on the caller's own connection, inside the caller's transaction: nothing is begun, committed or rolled back."""

    def __init__(self, connection: Any, *, clock: Clock, bell: Bell, where: str) -> None:
        self._connection = connection
        self._clock = clock
        self._bell = bell
        self._where = where
        self._rings: set[str] = set()

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError."""
        with translated(self._where):
            edge = Edge(plain_cursor(self._connection), self._clock)
            answer = drive(verb(*args), edge.do)
        self._rings |= edge.rings
        return answer

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines; on SQLite a statement in an open transaction does not wait."""
        return self.run(verb, *args)

    def left(self) -> None:
        """The caller left `bind`: if the transaction is over, whoever waits for what was in it may be woken. If it goes on, the
        workers see the commit when they next look at the file, within a tenth of a second."""
        if not self._connection.in_transaction:
            self.committed()

    def committed(self) -> None:
        """The caller's transaction is committed: whoever waits for what is in it may be woken."""
        if self._rings:
            self._bell.ring(self._rings)
            self._rings = set()


def connect(path: Path | None, synchronous: str, *, reads_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, set up for a store. Raises StoreUnavailable or NotAStore."""
    where = "in memory" if path is None else str(path)
    if path is not None and not path.parent.is_dir():
        raise StoreUnavailable(f"The store {where} cannot be opened: the folder {path.parent} does not exist; make it first.")
    with translated(where):
        connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=5.0, isolation_level=None, check_same_thread=False,
            cached_statements=256,
        )  # fmt: skip
        try:
            if path is not None:
                if not reads_only:
                    _use_wal(connection)
                connection.execute(f"pragma synchronous = {synchronous}")
                connection.execute("pragma wal_autocheckpoint = 4000")
            if reads_only:
                connection.execute("pragma query_only = on")
        except BaseException:
            connection.close()
            raise
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Make sure that the file has a write-ahead log. For the change SQLite needs the file alone, and does not wait for others who
    are about to make it too: one of them would wait for ever."""
    until = time.monotonic() + ALONE
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.002, 0.02))


def plain_cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor whose rows are tuples, whatever the caller of `bind` has made of the rows of his connection."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor
