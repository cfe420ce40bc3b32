"""Connections for tasks that share their transaction: made when needed, and kept for a while for the next one.

They are the user's, not the queue's: the planner is left alone, and nothing ends a transaction that takes long. Only a server or a
client that has gone without a word is noticed, as everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg

from dray.errors import DrayError, StoreUnavailable
from dray.store.postgres.place import Place
from dray.store.postgres.trouble import as_ours

IDLE = 60.0  # seconds that a connection is kept without use
CONNECT = 5  # seconds for one to be made
NAMED: dict[str, Any] = {
    "connect_timeout": CONNECT, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000,
    "application_name": "dray",
}  # fmt: skip
OPTIONS = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=15s"
#: What a function may change of a psycopg connection, besides the settings of its session.
MADE = ("row_factory", "cursor_factory", "prepare_threshold")
#: Of the parameters of a URL, what asyncpg understands; it would take the others for settings of the server.
ASYNCPG = frozenset({
    "host", "port", "dbname", "user", "password", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version", "sslnegotiation", "target_session_attrs",
    "krbsrvname", "gsslib", "service", "options", "application_name",
})  # fmt: skip


class Kept:
    """A connection, and what is kept as long as it."""

    def __init__(self, connection: Any, loop: asyncio.AbstractEventLoop | None, driver: str) -> None:
        self.connection = connection
        self.loop = loop
        self.driver = driver
        self.keep: dict[str, Any] = {}
        self.made = {name: getattr(connection, name) for name in MADE} if driver == "psycopg" else {}
        self.since = time.monotonic()
        self.fresh = True

    def drop(self) -> None:
        """Close it without waiting for the server."""
        with contextlib.suppress(Exception):  # its loop may be closed
            if self.driver == "asyncpg":
                self.connection.terminate()
            else:
                self.connection.pgconn.finish()


class Shelf:
    """The connections that are not in use. Those of coroutines belong to their event loop."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._timer: threading.Timer | None = None
        self._closed = False

    def take(self, driver: str, loop: asyncio.AbstractEventLoop | None = None) -> Kept | None:
        """The one that was used last, if there is any."""
        with self._lock:
            if self._pid != os.getpid():  # they belong to the parent, and must be neither used nor closed here
                self._left, self._kept, self._timer, self._pid = self._kept, [], None, os.getpid()
            for kept in reversed(self._kept):
                if kept.driver == driver and kept.loop is loop:
                    self._kept.remove(kept)
                    return kept
        return None

    def give(self, kept: Kept) -> None:
        """It may be used again."""
        kept.since, kept.fresh = time.monotonic(), False
        with self._lock:
            if not self._closed:
                self._kept.append(kept)
                self._watch()
                return
        kept.drop()

    def close(self, chosen: Callable[[Kept], bool] = lambda _: True, *, for_good: bool = False) -> None:
        """Close those that are chosen."""
        with self._lock:
            self._closed = self._closed or for_good
            if self._pid != os.getpid():
                return
            gone = [kept for kept in self._kept if chosen(kept)]
            self._kept = [kept for kept in self._kept if kept not in gone]
            if for_good and self._timer is not None:
                self._timer.cancel()
        for kept in gone:
            self._part(kept)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(IDLE, self._prune)
            self._timer.daemon = True
            self._timer.start()

    def _prune(self) -> None:
        self.close(lambda kept: time.monotonic() - kept.since >= IDLE)
        with self._lock:
            self._timer = None
            if self._kept and not self._closed:
                self._watch()

    @staticmethod
    def _part(kept: Kept) -> None:
        if kept.loop is None or not kept.loop.is_running():
            kept.drop()
            return
        with contextlib.suppress(RuntimeError):  # it ends at this moment
            kept.loop.call_soon_threadsafe(kept.drop)


# -- making connections


def dial(place: Place, pooled: bool) -> psycopg.Connection[Any]:
    """A connection of psycopg, with the defaults of the server. Raises StoreError."""
    try:
        connection = psycopg.Connection.connect(place.dsn, **_named(place, pooled))
    except psycopg.Error as error:
        raise as_ours(error, place.where) from error
    if pooled:
        connection.prepare_threshold = None
    return connection


async def adial(place: Place, pooled: bool) -> psycopg.AsyncConnection[Any]:
    """The same for coroutines. Raises StoreError."""
    try:
        connection = await psycopg.AsyncConnection.connect(place.dsn, **_named(place, pooled))
    except psycopg.Error as error:
        raise as_ours(error, place.where) from error
    if pooled:
        connection.prepare_threshold = None
    return connection


def _named(place: Place, pooled: bool) -> dict[str, Any]:
    given = dict(parse_qsl(urlsplit(place.dsn).query, keep_blank_values=True))
    named = {key: value for key, value in NAMED.items() if key not in given}
    if not pooled and "options" not in given:
        named["options"] = OPTIONS
    if _hosts(place, given) > 1 and "target_session_attrs" not in given:
        named["target_session_attrs"] = "read-write"
    return named


async def adial_asyncpg(place: Place, pooled: bool) -> Any:
    """A connection of asyncpg. Raises StoreError, ConfigurationError."""
    import asyncpg  # type: ignore[import-untyped]

    from dray.store.postgres.bound_asyncpg import translated_for

    given = dict(parse_qsl(urlsplit(place.dsn).query, keep_blank_values=True))
    options = {key: value for key, value in given.items() if key in ASYNCPG}
    options.setdefault("application_name", "dray")
    if not pooled:
        options.setdefault("options", OPTIONS)
    hosts = _hosts(place, given)
    if hosts > 1:
        options.setdefault("target_session_attrs", "read-write")
    dsn = place.dsn.partition("?")[0] + "?" + urlencode(options, quote_via=quote)
    try:
        return await asyncpg.connect(
            dsn, timeout=float(given.get("connect_timeout") or CONNECT) * hosts, **({"statement_cache_size": 0} if pooled else {})
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise _translated(place, error, translated_for) from error


def _translated(place: Place, error: Exception, known: Callable[[str, BaseException], DrayError | None]) -> DrayError:
    text = " ".join(str(error).split()).rstrip(".") or "it did not answer in time"
    return known(place.where, error) or StoreUnavailable(f"The store {place.where} cannot be reached by asyncpg: {text}.")


def _hosts(place: Place, given: dict[str, str]) -> int:
    return (given.get("host") or urlsplit(place.dsn).netloc).count(",") + 1
