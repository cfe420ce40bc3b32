"""The few connections of a process, and the deadline of every call on them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

import psycopg

from dray.errors import StoreBusy, StoreUnavailable
from dray.observe.log import get_logger
from dray.store.postgres.edge import cursors
from dray.store.postgres.place import Place
from dray.store.postgres.trouble import as_ours, too_late

log = get_logger("postgres")

MOST = 2  # connections for verbs; a third one listens
CONNECT = 5  # seconds for a connection to be made, each time
PATIENCE = 10.0  # seconds in which a caller's connection is tried to be made again while the server is away
TICK = 0.25  # seconds between looks at the deadlines
OLDEST = 130_000  # PostgreSQL 13: what is older lacks what the statements need
#: Of the server's settings for our sessions. The planner: a plan made while a table was small must not be kept when it is large.
#: The rest: a client that is cut off or stopped in the middle of a transaction must not keep its locks.
SETTINGS = {
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off",
    "default_transaction_isolation": "read\\ committed", "statement_timeout": "60s",
    "lock_timeout": "20s", "idle_in_transaction_session_timeout": "15s", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3", "tcp_user_timeout": "15s",
}  # fmt: skip
KEEPALIVE: dict[str, Any] = {
    "connect_timeout": CONNECT, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000,
    "application_name": "dray",
}  # fmt: skip


class Line:
    """One connection with its cursors. Used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.fast, self.plain = cursors(connection)
        self.until = 0.0  # monotonic; when the call under way is given up; 0: there is none
        self.cut = False

    def hang_up(self) -> None:
        """End the call under way, from another thread."""
        self.cut = True
        with contextlib.suppress(Exception):
            end = socket.socket(fileno=os.dup(self.connection.fileno()))
            with end:
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it without waiting for the server."""
        self.hang_up()
        with contextlib.suppress(Exception):
            self.connection.close()


class Lines:
    """At most two connections, made when they are needed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.pooled = place.pooler == "transaction"  # a session ends with each transaction
        self._idle: list[Line] = []
        self._all: list[Line] = []
        self._watched: list[Line] = []
        self._made = 0
        self._free = threading.Condition()
        self._watch: threading.Thread | None = None
        self._closed = False

    # -- taking and giving

    def take(self, until: float, *, fresh: bool = False) -> Line:
        """A connection; `until` (monotonic) is the deadline of what it is for. `fresh`: one that is new. Raises StoreError."""
        with self._free:
            while True:
                self._check_open()
                if fresh:
                    while self._idle:
                        self._drop(self._idle.pop())
                if self._idle:
                    line = self._idle.pop()
                    break
                if self._made < MOST:
                    self._made += 1
                    line = None  # type: ignore[assignment]
                    break
                if not self._free.wait(until - time.monotonic()):
                    raise StoreBusy(
                        f"Both connections to {self.place.where} were busy for {self.place.timeout:.0f} seconds; enqueue many jobs "
                        "with enqueue_many, and look for what is slow with `dray doctor`."
                    )
        if line is None:
            line = self._new()
        line.until = until
        return line

    def _new(self) -> Line:
        try:
            line = Line(self.connect())
        except BaseException:
            with self._free:
                self._made -= 1
                self._free.notify()
            raise
        with self._free:
            self._all.append(line)
            self._start_watch()
        return line

    def give(self, line: Line) -> None:
        """Done with it."""
        line.until = 0.0
        with self._free:
            if self._closed or line.cut or line.connection.broken:
                self._drop(line)
            else:
                self._idle.append(line)
            self._free.notify()

    def discard(self, line: Line) -> None:
        """It is of no use any more."""
        with self._free:
            self._drop(line)
            self._free.notify()

    def _drop(self, line: Line) -> None:
        line.until = 0.0
        line.close()
        if line in self._all:
            self._all.remove(line)
            self._made -= 1

    # -- connecting

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection, in autocommit mode. Raises StoreError."""
        place = self.place
        try:
            connection = self._dial()
        except psycopg.Error as error:
            raise as_ours(error, place.where) from error
        try:
            version = connection.info.server_version
            if version < OLDEST:
                raise StoreUnavailable(
                    f"The server of {place.where} is PostgreSQL {version // 10_000}; Dray needs {OLDEST // 10_000} or later."
                )
            if place.pooler == "auto" and not self.pooled:
                (pid,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
                if pid != connection.info.backend_pid:  # it answers with a number of its own
                    self._behind_pooler("its answers come from another process than the one that was connected to")
            if self.pooled:
                connection.prepare_threshold = None
        except psycopg.Error as error:
            connection.close()
            raise as_ours(error, place.where) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _dial(self) -> psycopg.Connection[Any]:
        named = {key: value for key, value in KEEPALIVE.items() if f"{key}=" not in self.place.dsn}
        if "," in self.place.dsn.partition("?")[0] and "target_session_attrs" not in self.place.dsn:
            named["target_session_attrs"] = "read-write"
        if self.pooled:
            return psycopg.Connection.connect(self.place.dsn, autocommit=True, **named)
        options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        try:
            return psycopg.Connection.connect(self.place.dsn, autocommit=True, options=options, **named)
        except psycopg.OperationalError as error:
            if "unsupported startup parameter" not in str(error) or self.place.pooler == "session":
                raise
            self._behind_pooler(str(error).strip())
            return psycopg.Connection.connect(self.place.dsn, autocommit=True, **named)

    def _behind_pooler(self, why: str) -> None:
        if not self.pooled:
            self.pooled = True
            log.info(
                "%s is behind a pooler (%s): statements are not prepared, and workers look for jobs instead of being woken. Say "
                "?pooler=transaction to have it so at once, or ?pooler=session if it pools sessions.", self.place.where, why,
            )  # fmt: skip

    def found_pooler(self, why: str) -> None:
        """Statements turned out not to stay prepared."""
        self._behind_pooler(why)
        with self._free:
            while self._idle:
                self._drop(self._idle.pop())

    # -- deadlines

    def watch(self, line: Line) -> None:
        """Keep the deadlines of a connection that is nobody else's."""
        with self._free:
            self._watched.append(line)
            self._start_watch()

    def unwatch(self, line: Line) -> None:
        """It is closed."""
        with self._free:
            self._watched = [other for other in self._watched if other is not line]

    def _start_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._keep_deadlines, name="dray-deadlines", daemon=True)
            self._watch.start()

    def _keep_deadlines(self) -> None:
        # A server that has gone without a word, or a network that swallows what is sent, would keep a call waiting for ever.
        while not self._closed:
            time.sleep(TICK)
            now = time.monotonic()
            for line in [*self._all, *self._watched]:
                if line.until and now > line.until and not line.cut:
                    log.warning("%s", too_late(self.place.where, self.place.timeout))
                    line.hang_up()

    # -- the end

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"The store {self.place.where} has been closed; open a new Dray() to use it again.")

    def close(self) -> None:
        """Close all that are not in use; the others are closed when they are given back."""
        with self._free:
            self._closed = True
            while self._idle:
                self._drop(self._idle.pop())
            self._free.notify_all()

    def abandon(self) -> None:
        """After a fork: they belong to the parent, and must be neither used nor closed here."""
        self._left = list(self._all)
        self._closed = True
