"""Jobs in the caller's transaction: which connections are taken, and whether they lead to the store's own database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg

from dray.errors import NotSupported, StoreBusy, StoreError, StoreUnavailable, WrongDatabase
from dray.store.plan import Plan, Query, Row, reads
from dray.store.protocol import Bound

if TYPE_CHECKING:
    from dray.store.postgres.store import PostgresStore

TAKEN = "psycopg (3), asyncpg, or SQLAlchemy 2 over one of them"
SAVEPOINT = "dray"
#: (what opens the part of a transaction that is ours, what ends it well, what takes it back)
NESTED = (
    f"savepoint {SAVEPOINT}", f"release savepoint {SAVEPOINT}",
    f"rollback to savepoint {SAVEPOINT}; release savepoint {SAVEPOINT}",
)  # fmt: skip
WHOLE = ("begin", "commit", "rollback")

_proven: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()  # store: connections to its own database


def bound(store: PostgresStore, connection: Any) -> Bound:
    """A session over the caller's connection. Raises WrongDatabase or NotSupported."""
    if isinstance(connection, psycopg.Connection):
        from dray.store.postgres.bound_psycopg import PsycopgBound

        return PsycopgBound(store, connection)
    if isinstance(connection, psycopg.AsyncConnection):
        from dray.store.postgres.bound_psycopg import AsyncPsycopgBound

        return AsyncPsycopgBound(store, connection)
    if _is_asyncpg(connection):
        from dray.store.postgres.bound_asyncpg import AsyncpgBound

        return AsyncpgBound(store, connection)
    kind = type(connection)
    raise NotSupported(
        f"bind() was given a {kind.__module__}.{kind.__qualname__}; a PostgreSQL store takes a connection of {TAKEN}."
    )


def _is_asyncpg(connection: Any) -> bool:
    return any(
        base.__module__.startswith("asyncpg.") and base.__name__ in ("Connection", "PoolConnectionProxy")
        for base in type(connection).__mro__
    )


class Ringing:
    """What all sessions over connections of callers have in common."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._rings: set[str] = set()

    def committed(self) -> None:
        """The caller's transaction is over: wake those of this process who wait for what was in it. Others were notified by it."""
        if self._rings:
            self._store.bell.ring(self._rings)
            self._rings = set()


# -- the right database


def is_proven(store: PostgresStore, connection: Any) -> bool:
    """Whether it is known already that a connection leads to the store's database."""
    known = _proven.get(store)
    return known is not None and connection in known


def take_for_proven(store: PostgresStore, connection: Any) -> None:
    """A connection leads to the store's database."""
    _proven.setdefault(store, WeakSet()).add(connection)


def which(store: PostgresStore) -> Query:
    """The question which database this is."""
    return Query(store.plans.say.which, {"schema": store.plans.schema}, alone=True)


def compare(store: PostgresStore, connection: Any, theirs: Row, ours: Row) -> None:
    """Raises WrongDatabase if the caller's connection does not lead where the store is."""
    if tuple(theirs)[:3] == tuple(ours)[:3]:
        take_for_proven(store, connection)
        return
    database, server = theirs[3:]
    raise WrongDatabase(
        f"bind() was given a connection to the database {database} at {server}, but the jobs are kept in {store.where}; give a "
        "connection to that database, or make the app with the URL of yours."
    )


@reads
def ours(store: PostgresStore) -> Plan[Row]:
    """Which database the store's is. Asked each time: a server that was started again says something else."""
    rows: list[Row] = yield which(store)
    return rows[0]


# -- errors


def closed(store: PostgresStore) -> StoreUnavailable:
    """The error for a connection that is closed."""
    return StoreUnavailable(
        f"The connection that bind() was given is closed, and no job was written to {store.where}; enqueue before you close it."
    )


def aborted(store: PostgresStore) -> StoreError:
    """The error for a transaction that cannot go on."""
    return StoreError(
        f"Your transaction on {store.where} was aborted by an earlier error in it, and takes no job; roll back first (to a "
        "savepoint, or all of it)."
    )


def occupied(store: PostgresStore, what: str) -> StoreBusy:
    """The error for a connection that cannot do anything else now."""
    return StoreBusy(f"The connection that bind() was given is {what}, and no job was written to {store.where}; end that first.")


def use_async(store: PostgresStore) -> NotSupported:
    """The error for a blocking call on an asynchronous connection."""
    return NotSupported(
        "Inside bind() of an async connection, enqueue with `await task.aenqueue(…)` or `await app.aenqueue_many(…)`."
    )
