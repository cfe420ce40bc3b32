"""Jobs in the transaction of a SQLAlchemy Connection or Session, and of their async twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from dray.errors import NotSupported
from dray.store.plan import Plan
from dray.store.protocol import Bound, Store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

T = TypeVar("T")

DRIVERS = ("sqlite3", "psycopg", "asyncpg")


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
        # A wrong database is told at once, if that does not begin the transaction: the caller may be about to do so.
        if isinstance(target, Connection):
            store.bound(driver_of(target))
        elif target.in_transaction():
            self._session()

    def _session(self) -> Bound:
        connection = self._target.connection() if isinstance(self._target, Session) else self._target
        if not connection.in_transaction():  # not yet, or not any more: the caller may commit and go on
            connection.begin()
        transaction = connection.get_transaction()
        if self._inner is None or transaction is not self._transaction:
            self._transaction = transaction
            self._inner = self._store.bound(driver_of(connection))
            if isinstance(self._target, Session):
                tell_commit(self._target, self._inner)
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
    """The same for the async twins: over the async driver's own connection, or, where that has no coroutines, by `run_sync`."""

    def __init__(self, store: Store, target: AsyncConnection | AsyncSession) -> None:
        self._store = store
        self._target = target
        self._blocking: AlchemyBound | None = None
        self._inner: Bound | None = None
        self._transaction: object = None

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Refused: the connection is async."""
        raise NotSupported(
            "Inside bind() of an async SQLAlchemy connection, enqueue with `await task.aenqueue(…)` or "
            "`await app.aenqueue_many(…)`."
        )

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError."""
        inner = await self._target.run_sync(self._begun)
        if inner is not None:
            return await inner.arun(verb, *args)

        def work(target: Any) -> T:
            if self._blocking is None:
                self._blocking = AlchemyBound(self._store, target)
            return self._blocking.run(verb, *args)

        return await self._target.run_sync(work)

    def _begun(self, target: Any) -> Bound | None:
        """A session over the driver's own connection, in the transaction of the caller's; None if it has no coroutines."""
        if isinstance(target, Session):
            target.flush()
        connection = target.connection() if isinstance(target, Session) else target
        if is_aiosqlite(connection):
            return None
        if not connection.in_transaction():
            connection.begin()
        transaction = connection.get_transaction()
        if self._inner is None or transaction is not self._transaction:
            driver = driver_of(connection)
            if is_asyncpg(driver) and not driver.is_in_transaction():
                connection.exec_driver_sql("select 1")  # the adapter begins with the first statement that comes through it
            self._transaction = transaction
            self._inner = self._store.bound(driver)
            if isinstance(target, Session):
                tell_commit(target, self._inner)
        return self._inner

    def committed(self) -> None:
        """The caller's transaction is committed."""
        for inner in (self._blocking, self._inner):
            if inner is not None:
                inner.committed()

    def left(self) -> None:
        """The caller left `bind`."""
        if self._inner is not None:
            self._inner.left()


def tell_commit(session: Session, inner: Bound) -> None:
    """Tell a session over the driver's connection when the transaction of the ORM's session is committed."""
    event.listen(session, "after_commit", lambda _: inner.committed(), once=True)


def is_asyncpg(driver: Any) -> bool:
    """Whether it is a connection of asyncpg."""
    return type(driver).__module__.startswith("asyncpg")


def is_aiosqlite(connection: Connection) -> bool:
    """Whether SQLAlchemy speaks to SQLite by an adapter that has blocking cursors only."""
    return type(connection.connection.driver_connection).__module__.startswith("aiosqlite")


def driver_of(connection: Connection) -> Any:
    """The driver's connection under a SQLAlchemy one, in the form that stores take; the store says if it does not."""
    if is_aiosqlite(connection):
        return AdaptedConnection(connection.connection.dbapi_connection)
    driver = connection.connection.driver_connection
    if not any(base.__module__.partition(".")[0] in DRIVERS for base in type(driver).__mro__):
        name = type(driver).__module__.partition(".")[0]
        raise NotSupported(
            f"bind() was given SQLAlchemy over {name}; Dray takes the drivers psycopg (3) and asyncpg for PostgreSQL, and pysqlite "
            "and aiosqlite for SQLite."
        )
    return driver


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
