"""What a PostgreSQL server can tell of its clients, and stores that are opened for a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from dray.errors import StoreError
from dray.store.plan import Plan, Query
from dray.store.postgres.bell import PostgresListener
from dray.store.postgres.place import place_of
from dray.store.postgres.store import PostgresStore

T = TypeVar("T")


@contextmanager
def opened(url: str, **options: object) -> Iterator[PostgresStore]:
    """A store whose schema is there; `options` are those of its URL."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    store = PostgresStore(place_of(url + (f"?{query}" if query else "")), migrate=False)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def asleep(store: PostgresStore, *kinds: str) -> Iterator[PostgresListener]:
    """Somebody sleeps until he is woken."""
    listener = store.listen(*(kinds or ("work",)))
    listener.show()
    try:
        yield listener
    finally:
        listener.close()


def until(true: Callable[[], T], within: float = 10.0) -> T:
    """Wait for something that others do; what they did."""
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, f"it did not happen within {within} s; last seen: {found!r}"
        time.sleep(0.002)
    return found


def ask(url: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Straight at the database."""
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as server:
        cursor = server.execute(sql, params or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def clients(url: str) -> list[tuple[int, str, str]]:
    """The sessions of Dray in a database: pid, state, last query."""
    return ask(
        url, "select pid, state, query from pg_stat_activity where datname = current_database() and application_name = 'dray'"
    )


def terminate(url: str) -> int:
    """Cut off all sessions of Dray in a database; how many."""
    return len(ask(
        url, "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and application_name = 'dray'",
    ))  # fmt: skip


@contextmanager
def locked(url: str, table: str, mode: str = "access exclusive") -> Iterator[psycopg.Connection[Any]]:
    """Somebody else holds a lock on a table of Dray."""
    with psycopg.connect(url, options="-c idle_in_transaction_session_timeout=0 -c statement_timeout=0") as other:
        other.execute(f"lock table dray.{table} in {mode} mode")  # type: ignore[arg-type]
        yield other
        other.rollback()


class Call:
    """A call in a thread of its own, and how it went."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self.took = 0.0
        self.answer: Any = None
        self.error: BaseException | None = None
        self._what = what
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self.answer = self._what()
        except StoreError as error:
            self.error = error
        self.took = time.monotonic() - began

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, within: float) -> Call:
        """Wait for its end."""
        self._thread.join(within)
        assert self.over, f"it has not come back within {within} s"
        return self


def writes(sql: str, then: Callable[[], object] = lambda: None) -> Callable[[], Plan[None]]:
    """A verb that may not be repeated: it writes, and does something before its commit."""

    def verb() -> Plan[None]:
        yield Query(sql)
        then()

    return verb
