"""The few connections of a process, and the deadline of every call on them."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from typing import Any

import psycopg

from dray.errors import StoreBusy, StoreUnavailable
from dray.store.postgres.dial import OLDEST as OLDEST
from dray.store.postgres.dial import SETTINGS as SETTINGS
from dray.store.postgres.dial import Dialer
from dray.store.postgres.edge import cursors
from dray.store.postgres.place import Place
from dray.store.postgres.trouble import too_late

log = logging.getLogger("dray.postgres")

MOST = 2  # connections for verbs; the third one listens, and gives way to what must not wait
ALL = 3
HURRY = 0.5  # seconds that what must not wait does wait for one of the usual connections
TOO_LATE = 1.2  # seconds before a deadline, from which on no connection is made for it: the driver takes up to two for that
PATIENCE = 10.0  # seconds in which a caller's connection is tried to be made again while the server is away
TICK = 0.25  # seconds between looks at the deadlines
FORGOTTEN = 5.0  # seconds after its deadline, from which on a connection is not expected to be given back (Ctrl-C, say)
LONG = 3600.0  # seconds for what has no deadline of its own


class Line:
    """One connection with its cursors. Used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.fast, self.plain = cursors(connection)
        self.more: list[psycopg.Cursor[Any]] = []  # like `fast`, for statements that are sent together; made when needed
        self.prepared: set[bytes] = set()
        self.since = 0.0  # monotonic; when the call under way began
        self.until = 0.0  # … and when it is given up; 0: there is none
        self.cut = False  # broken off by us
        self.late = False  # … because the call under way had reached its deadline
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def begin(self, until: float) -> None:
        """A call begins that is given up at `until` (monotonic)."""
        self.since, self.until = time.monotonic(), until

    def end(self) -> None:
        """It is over."""
        self.until = 0.0

    def dead(self) -> bool:
        """Whether an idle connection has come to its end: then there is something to read, though nothing has been asked."""
        return bool(self._poll.poll(0))

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
    """At most two connections, made when they are needed, and one more that listens."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.dialer = Dialer(place)
        self._start()

    def _start(self) -> None:
        self._idle: list[Line] = []
        self._all: list[Line] = []
        self._made = 0
        self._ear: Line | None = None
        self._new: set[Line] = set()  # being greeted
        self._free = threading.Condition()
        self._watch: threading.Thread | None = None
        self._closed = False
        self._pid = os.getpid()

    @property
    def pooled(self) -> bool:
        """Whether a session ends with each transaction."""
        return self.dialer.pooled

    # -- taking and giving

    def take(self, until: float, *, by: float | None = None, fresh: bool = False, urgent: bool = False) -> Line:
        """A connection; `until` (monotonic) is the deadline of what it is for. `by`: when it is too late to make one. `fresh`: one
        that is new. `urgent`: if the others are busy, in the place of the one that listens. Raises StoreError."""
        self._mine()
        began = time.monotonic()
        with self._free:
            while True:
                self._check_open()
                left = until - time.monotonic()
                if left > 0 and (line := self._take_idle(until, fresh)) is not None:
                    return line
                hurry = urgent and time.monotonic() - began >= HURRY
                timely = by is None or time.monotonic() < by
                if timely and (self._made < MOST or (hurry and self._made < ALL)):
                    self._made += 1
                    if self._made > MOST and self._ear is not None:
                        self._ear.hang_up()
                    break
                if left <= 0 or (self._made < MOST and not timely):
                    raise StoreBusy(
                        f"All connections to {self.place.where} were busy for {until - began:.0f} seconds; enqueue many jobs "
                        "with enqueue_many, and look for what is slow with `dray doctor`."
                    )
                self._free.wait(min(left, HURRY) if urgent else left)
        return self._add(until)

    def _take_idle(self, until: float, fresh: bool) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if not fresh and not line.dead():
                line.begin(until)
                return line
            self._drop(line)
        return None

    def _add(self, until: float) -> Line:
        try:
            line = self._dial(until)
        except BaseException:
            with self._free:
                self._made -= 1
                self._free.notify()
            raise
        with self._free:
            if self._closed:
                line.close()
            line.begin(until)
            self._all.append(line)
            self._start_watch()
        return line

    def give(self, line: Line) -> None:
        """Done with it."""
        with self._free:
            line.end()
            if self._closed or line.cut or line.connection.broken or self._made > MOST:
                self._drop(line)
            elif line in self._all:
                self._idle.append(line)
            self._free.notify()

    def discard(self, line: Line) -> None:
        """It is of no use any more."""
        with self._free:
            self._drop(line)
            self._free.notify()

    def _drop(self, line: Line) -> None:
        line.end()
        line.close()
        if line in self._all:
            self._all.remove(line)
            self._made -= 1

    # -- connecting

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection, in autocommit mode, that is nobody else's. Raises StoreError."""
        connection = self.dialer.dial(time.monotonic() + LONG)
        try:
            self.dialer.greet(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _dial(self, until: float) -> Line:
        line = Line(self.dialer.dial(until))
        line.begin(until)
        with self._free:
            self._new.add(line)
            self._start_watch()
        try:
            self.dialer.greet(line.connection)
        except BaseException:
            line.close()
            raise
        finally:
            line.end()
            with self._free:
                self._new.discard(line)
        return line

    def listen(self, until: float) -> Line:
        """The connection that listens; who has it gives it back with `unlisten`. Raises StoreError."""
        self._mine()
        with self._free:
            self._check_open()
            self._check_room()
        line = self._dial(until)
        try:
            with self._free:
                self._check_room()
                self._ear = line
        except StoreBusy:
            line.close()
            raise
        return line

    def unlisten(self, line: Line) -> None:
        """It listens no more."""
        line.close()
        with self._free:
            if self._ear is line:
                self._ear = None

    def _check_room(self) -> None:
        if self._made > MOST:
            raise StoreBusy(f"All connections to {self.place.where} are needed for what must not wait.")

    def found_pooler(self, why: str) -> None:
        """Statements turned out not to stay prepared."""
        self.dialer.behind_pooler(why)
        with self._free:
            while self._idle:
                self._drop(self._idle.pop())

    # -- deadlines

    def _start_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._keep_deadlines, name="dray-deadlines", daemon=True)
            self._watch.start()

    def _keep_deadlines(self) -> None:
        # A server that has gone without a word, or a network that swallows what is sent, would keep a call waiting for ever.
        while True:
            time.sleep(TICK)
            with self._free:
                if self._closed and not (self._all or self._new or self._ear):
                    self._watch = None
                    return
                now = time.monotonic()
                for line in [*self._all, *self._new, *([] if self._ear is None else [self._ear])]:
                    if not line.until or now <= line.until:
                        continue
                    if not line.cut:
                        log.warning("%s", too_late(self.place.where, line.until - line.since))
                        line.late = True
                        line.hang_up()
                    elif now > line.until + FORGOTTEN and line in self._all:
                        self._drop(line)
                        self._free.notify()

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

    def _mine(self) -> None:
        # In a child: what there is belongs to the parent, and must be neither used nor closed here.
        if self._pid != os.getpid():
            self._left = [*self._all, self._ear]
            self._start()
