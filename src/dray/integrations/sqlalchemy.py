"""Jobs in the transaction of a SQLAlchemy Connection or Session, and of their async twins."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dray.errors import ConfigurationError, NotSupported
from dray.store.plan import Plan
from dray.store.protocol import Bound, Store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

T = TypeVar("T")


def bound_sqlalchemy(store: Store, connection: Any) -> Bound:
    """A session over a SQLAlchemy object. Raises WrongDatabase, NotSupported."""
    # By name: importing the async half would ask for greenlet, which those who do not use it need not have.
    if any(base.__module__.startswith("sqlalchemy.ext.asyncio") for base in type(connection).__mro__):
        return AsyncAlchemyBound(store, connection)
    if isinstance(connection, (Connection, Session)):
        return AlchemyBound(store, connection)
    raise NotSupported(
        f"bind() was given a {type(connection).__name__} of SQLAlchemy; give it a Connection or a Session (or their async twins)."
    )


class AlchemyBound:
    """Runs plans on the driver's connection under a SQLAlchemy one, once that has begun its transaction."""

    def __init__(self, store: Store, target: Connection | Session) -> None:
        self._store = store
        self._target = target
        self._inner: Bound | None = None
        self._transaction: object = None
        # Opens the transaction if there is none yet, as the first statement would: a wrong database is told at once.
        self._session()

    def _session(self) -> Bound:
        connection = self._target.connection() if isinstance(self._target, Session) else self._target
        if not connection.in_transaction():  # not yet, or not any more: the caller may commit and go on
            connection.begin()
        transaction = connection.get_transaction()
        if self._inner is None or transaction is not self._transaction:
            self._transaction = transaction
            self._inner = self._store.bound(_driver(connection))
            if isinstance(self._target, Session):
                inner = self._inner
                event.listen(self._target, "after_commit", lambda _: inner.committed(), once=True)
        return self._inner

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError."""
        if isinstance(self._target, Session):
            self._target.flush()  # what the job refers to should be there before it
        return self._session().run(verb, *args)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines."""
        return self.run(verb, *args)

    def committed(self) -> None:
        """The caller's transaction is committed."""
        if self._inner is not None:
            self._inner.committed()

    def left(self) -> None:
        """The caller left `bind`."""
        if self._inner is not None:
            self._inner.left()


class AsyncAlchemyBound:
    """The same for the async twins: their `run_sync` gives the sync object."""

    def __init__(self, store: Store, target: AsyncConnection | AsyncSession) -> None:
        self._store = store
        self._target = target
        self._inner: AlchemyBound | None = None

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Refused: the connection is async."""
        raise NotSupported("Inside bind() of an async SQLAlchemy connection, enqueue with `await task.aenqueue(…)`.")

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError."""

        def work(target: Any) -> T:
            if self._inner is None:
                self._inner = AlchemyBound(self._store, target)
            return self._inner.run(verb, *args)

        return await self._target.run_sync(work)

    def committed(self) -> None:
        """The caller's transaction is committed."""
        if self._inner is not None:
            self._inner.committed()

    def left(self) -> None:
        """The caller left `bind`."""


def _driver(connection: Connection) -> Any:
    raw = connection.connection
    driver = raw.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return driver
    adapted = raw.dbapi_connection  # an async driver behind SQLAlchemy's adapter, which has blocking cursors
    if type(driver).__module__.startswith("aiosqlite"):
        return AdaptedConnection(adapted)
    raise NotSupported(
        f"bind() was given SQLAlchemy over {type(driver).__module__}; a SQLite store takes the drivers pysqlite and aiosqlite."
    )


class AdaptedConnection:
    """Makes the blocking cursors of SQLAlchemy's aiosqlite adapter look like a `sqlite3.Connection`."""

    speaks_sqlite = True  # asked for by the store

    def __init__(self, adapted: Any) -> None:
        self._adapted = adapted
        self.row_factory: Any = None

    def cursor(self) -> AdaptedConnection:
        """As sqlite3's; it makes a new one for each statement anyway."""
        return self

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        """As sqlite3's."""
        cursor = self._adapted.cursor()
        cursor.execute(sql, parameters)
        return cursor

    def executemany(self, sql: str, parameters: Any) -> Any:
        """As sqlite3's."""
        cursor = self._adapted.cursor()
        cursor.executemany(sql, list(parameters))
        return cursor

    @property
    def in_transaction(self) -> bool:
        """As sqlite3's."""
        return True


@contextlib.contextmanager
def over_connection(driver: sqlite3.Connection) -> Iterator[tuple[Connection, Session]]:
    """A SQLAlchemy Connection and Session over a driver's connection whose transaction the worker begins and ends. A commit or
    rollback of the Session is one of a savepoint; one of the Connection is refused."""
    engine = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool, pool_reset_on_return=None)
    inside = False  # set once the engine has done what it does at its first connection

    def refuse(*_: object) -> None:
        if inside:
            raise ConfigurationError(
                "A transactional task must neither commit nor roll back its connection: the worker does, together with the job's "
                "success. Raise an error to roll back."
            )

    # The dialect is this engine's own: nobody else is affected.
    engine.dialect.do_commit = refuse  # type: ignore[method-assign, assignment]
    engine.dialect.do_rollback = refuse  # type: ignore[method-assign, assignment]
    connection = engine.connect()
    connection.begin()
    inside = True
    session = Session(bind=connection, join_transaction_mode="create_savepoint")
    try:
        yield connection, session
        session.commit()
    finally:
        inside = False
        session.close()
        connection.close()
