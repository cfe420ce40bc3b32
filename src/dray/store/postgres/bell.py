"""Wake-up over LISTEN and NOTIFY: a hint only, and none while everybody is busy.

Who sleeps holds a shared advisory lock; who writes asks for it without waiting, which says whether anybody sleeps, and only then
notifies. (A NOTIFY at each commit takes a lock of the whole server, and halves what several producers can write.) The lock goes
with its holder's connection, and leaves no rows behind. A worker of some queues has a lock for each of them, so that a busy queue
does not wake the workers of others.

A hint can be lost: the writer asks before its commit, and the sleeper may have lain down in between. What was enqueued in a
transaction that went on for a second is then found after as long again, by a look of the sleeper's own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from dray.store.bell import Bell
from dray.store.postgres.lines import Line, Lines
from dray.store.postgres.locks import ANY, KINDS, QUEUE, lock_of
from dray.store.postgres.plans import PostgresPlans, quoted
from dray.store.remote import Ear, RemoteBell, RemoteListener

if TYPE_CHECKING:
    from collections.abc import Mapping

LINGER = 0.005  # seconds that the lock is kept after waking, for one that waits again at once
RECHECK = 1.0  # seconds after which it is noticed that one who got up by himself sleeps no more
HEARTBEAT = 30.0  # seconds between questions whether the connection is still alive
ANSWER = 5.0  # seconds for an answer on it


class PostgresListener(RemoteListener):
    """Waits to be woken, by this process or by others."""

    def __init__(self, bell: PostgresBell, kinds: tuple[str, ...]) -> None:
        super().__init__(bell, kinds)
        self.only(None)

    def only(self, queues: Sequence[str] | None) -> None:
        """Be rung for work of these queues only."""
        plain = tuple(kind for kind in self.kinds if kind in KINDS)
        words = (ANY,) if queues is None else tuple(QUEUE + queue for queue in queues)
        self.kinds = plain + words if "work" in plain else plain


class PostgresBell(RemoteBell):
    """Rings the listeners of this process. Those of others are notified by the transactions themselves."""

    def __init__(self, lines: Lines, plans: PostgresPlans) -> None:
        super().__init__(lambda bell: PostgresEar(lines, plans.area, plans.channels, bell))

    def listen(self, *kinds: str) -> PostgresListener:
        """A new listener."""
        return PostgresListener(self, kinds)


class PostgresEar(Ear):
    """Hears notifications, and holds the locks that say who sleeps."""

    troubles = (psycopg.Error, OSError)

    def __init__(self, lines: Lines, area: int, channels: Mapping[str, str], bell: Bell) -> None:
        self._lines = lines
        self._area = area
        self._channels = channels
        self._kinds = {name: kind for kind, name in channels.items()}
        super().__init__(bell)

    @property
    def possible(self) -> bool:
        """Whether anybody could be heard: not through a pooler."""
        return not self._lines.pooled

    def open(self) -> Line:
        """The connection that listens."""
        return self._lines.listen(time.monotonic() + ANSWER)

    def shut(self, connection: Line) -> None:
        """Give it back."""
        self._lines.unlisten(connection)

    def _listen(self, line: Line, kinds: frozenset[str]) -> None:
        line.begin(time.monotonic() + ANSWER)
        for kind in sorted(kinds):
            line.plain.execute(f"listen {quoted(self._channels[kind])}")
        line.end()

    def stay(self, connection: Line) -> None:
        """Hear what comes over it."""
        line, driver = connection, connection.connection
        heard: set[str] = set()  # only what somebody here has waited for: each note wakes all who listen to its channel
        release_at: float | None = None
        beat_at = time.monotonic() + HEARTBEAT
        notes: deque[psycopg.Notify] = deque()
        driver.add_notify_handler(notes.append)  # the driver finds some of them while it waits for an answer
        poll = self.poll(driver.fileno())
        while self._going:
            rang = self._take(notes)
            wanted = self.wanted()
            now = time.monotonic()
            if not wanted <= self.held:
                if new := wanted & KINDS.keys() - heard:
                    self._listen(line, new)
                    heard |= new
                self._ask(line, "pg_advisory_lock_shared", wanted - self.held)
                self.hold(self.held | wanted)
            if wanted >= self.held:
                release_at = None
            elif release_at is None:
                release_at = now + LINGER
            elif now >= release_at:
                if idle := self.let_go():
                    self._ask(line, "pg_advisory_unlock_shared", idle)
                release_at = None
            if now >= beat_at:
                line.begin(now + ANSWER)
                line.plain.execute("select")
                line.end()
                beat_at = now + HEARTBEAT
            if notes:
                continue
            timeout = (beat_at if release_at is None else release_at) - time.monotonic()
            if rang:
                timeout = LINGER  # whoever was woken by them is about to get up
            elif self.held:
                timeout = min(timeout, RECHECK)
            if self.heard(poll.poll(max(0.0, timeout * 1000))):
                driver.pgconn.consume_input()
                while note := driver.pgconn.notifies():
                    notes.append(psycopg.Notify(note.relname.decode(), note.extra.decode(), note.be_pid))

    def _ask(self, line: Line, function: str, words: frozenset[str]) -> None:
        line.begin(time.monotonic() + ANSWER)
        calls = ", ".join(f"{function}({self._area}, {lock_of(word)})" for word in sorted(words))
        line.plain.execute(f"select {calls}")
        line.end()

    def _take(self, notes: deque[psycopg.Notify]) -> bool:
        words = set()
        while notes:
            note = notes.popleft()
            kind = self._kinds.get(note.channel)
            if kind is not None and note.payload:  # work, and the queue of it
                words |= {ANY, QUEUE + note.payload}
            elif kind is not None:
                words.add(kind)
        if words:
            self._bell.ring(words)
        return bool(words)
