"""Wake-up over LISTEN and NOTIFY: a hint only, and none while everybody is busy.

Who sleeps holds a shared advisory lock; who writes asks for it without waiting, which says whether anybody sleeps, and only then
notifies. (A NOTIFY at each commit takes a lock of the whole server, and halves what several producers can write.) The lock goes
with its holder's connection, and leaves no rows behind. A worker of some queues has a lock for each of them, so that a busy queue
does not wake the workers of others.

A hint can be lost: the writer asks before its commit, and the sleeper may have lain down in between. So sleepers look by
themselves, after 2 ms, 4 ms, 8 ms …: what was enqueued in a transaction that went on for a second is found after as long again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg

from dray.errors import DrayError
from dray.store.bell import Bell, Listener
from dray.store.postgres.lines import Line, Lines
from dray.store.postgres.locks import ANY, KINDS, QUEUE, lock_of
from dray.store.postgres.plans import PostgresPlans, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("dray.postgres")

FIRST_GLANCE = 0.002  # seconds after lying down
SHY = 0.012  # seconds of sleep before being seen: after the third glance
RARELY = 10.0  # seconds between glances, at most, where hints arrive
OFTEN = 1.0  # … and where they do not
SELDOM = 4.0  # … after a minute in which nothing was found
MINUTE = 60.0
LINGER = 0.005  # seconds that the lock is kept after waking, for one that waits again at once
RECHECK = 1.0  # seconds after which it is noticed that one who got up by himself sleeps no more
HEARTBEAT = 30.0  # seconds between questions whether the connection is still alive
ANSWER = 5.0  # seconds for an answer on it
RETRY = 5.0  # seconds between attempts to connect, at most


class PostgresListener(Listener):
    """Waits to be woken, by this process or by others."""

    def __init__(self, bell: PostgresBell, kinds: tuple[str, ...]) -> None:
        self._ear = bell.ear
        self._shown_here = False
        super().__init__(bell, kinds)
        self.only(None)

    def only(self, queues: Sequence[str] | None) -> None:
        """Be rung for work of these queues only."""
        plain = tuple(kind for kind in self.kinds if kind in KINDS)
        words = (ANY,) if queues is None else tuple(QUEUE + queue for queue in queues)
        self.kinds = plain + words if "work" in plain else plain

    @property
    def remote(self) -> bool:
        """Whether other processes can wake this listener."""
        return self._ear.hears

    @property
    def patience(self) -> float:
        """Seconds of sleep after which to look for jobs by claiming."""
        return 60.0

    @property
    def shy(self) -> float:
        """Seconds of sleep after which to be seen by those who ring. Under a steady load the glances come sooner, and no producer
        has to notify."""
        return SHY

    def glances(self) -> Iterator[float]:
        """Seconds between looks while asleep."""
        pause, slept = FIRST_GLANCE, 0.0
        while True:
            yield pause
            slept += pause
            deaf = OFTEN if slept < MINUTE else SELDOM
            pause = min(RARELY if self.remote else deaf, pause * 2)

    def show(self) -> None:
        """Be seen by those who ring."""
        if not self._shown_here:
            self._shown_here = True
            self._ear.show(self.kinds)
        super().show()

    def hide(self) -> None:
        """Be seen no more, and forget what has rung."""
        self._withdraw()
        super().hide()

    def _withdraw(self) -> None:
        if self._shown_here:
            self._shown_here = False
            self._ear.hide(self.kinds)

    def close(self) -> None:
        """Done listening."""
        self._withdraw()
        self._asleep = False
        super().close()


class PostgresBell(Bell):
    """Rings the listeners of this process. Those of others are notified by the transactions themselves."""

    def __init__(self, lines: Lines, plans: PostgresPlans) -> None:
        super().__init__(None)
        self.ear = Ear(lines, plans.area, plans.channels, self)

    def listen(self, *kinds: str) -> PostgresListener:
        """A new listener."""
        return PostgresListener(self, kinds)

    def stop(self) -> None:
        """Hear no more."""
        self.ear.stop()


class Ear:
    """One connection and one thread of this process that hear for all its listeners, as long as there are any that sleep."""

    def __init__(self, lines: Lines, area: int, channels: Mapping[str, str], bell: Bell) -> None:
        self._lines = lines
        self._area = area
        self._channels = channels
        self._kinds = {name: kind for kind, name in channels.items()}
        self._bell = bell
        self._asleep: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._going = True
        self._pid = os.getpid()
        self.hears = False

    def show(self, kinds: tuple[str, ...]) -> None:
        """One more sleeps who waits for `kinds`."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            new = [kind for kind in kinds if not self._asleep[kind]]
            self._asleep.update(kinds)
            if self._thread is None and self._going:
                self._thread = threading.Thread(target=self._hear, name="dray-ear", daemon=True)
                self._thread.start()
        if new:
            self._poke()

    def hide(self, kinds: tuple[str, ...]) -> None:
        """One of them has woken."""
        with self._lock:
            self._asleep.subtract(kinds)

    def stop(self) -> None:
        """End."""
        self._going = False
        self._poke()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(2.0)

    def _after_fork(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._asleep.clear()
        self.hears = False

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    # -- the thread

    def _hear(self) -> None:
        pause = 0.1
        while self._going and not self._lines.pooled:
            line = None
            try:
                line = self._lines.listen(time.monotonic() + ANSWER)
                if self._lines.pooled:
                    break  # it has just turned out: nobody would be heard through a pooler
                pause = 0.1
                self._stay(line)
            except (DrayError, psycopg.Error, OSError) as error:
                if self._going:
                    log.debug("not listening: %s", error)
            except Exception:  # a defect must not leave everybody deaf for ever
                log.exception("unexpected error while listening")
            finally:
                self.hears = False
                if line is not None:
                    self._lines.unlisten(line)
                if self._going:
                    for kind in KINDS:
                        self._bell.ring({kind})  # there may have been something meanwhile
            self._rest(pause)
            pause = min(RETRY, pause * 2)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._going and time.monotonic() < until:
            time.sleep(min(0.1, seconds))

    def _listen(self, line: Line, kinds: set[str]) -> None:
        line.begin(time.monotonic() + ANSWER)
        for kind in sorted(kinds):
            line.plain.execute(f"listen {quoted(self._channels[kind])}")
        line.end()

    def _stay(self, line: Line) -> None:
        held: set[str] = set()
        heard: set[str] = set()  # only what somebody here has waited for: each note wakes all who listen to its channel
        release_at: float | None = None
        beat_at = time.monotonic() + HEARTBEAT
        connection = line.connection
        notes: deque[psycopg.Notify] = deque()
        connection.add_notify_handler(notes.append)  # the driver finds some of them while it waits for an answer
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(connection.fileno(), select.POLLIN)
        while self._going:
            rang = self._take(notes)
            with self._lock:
                wanted = {word for word, sleepers in self._asleep.items() if sleepers > 0}
            now = time.monotonic()
            if not wanted <= held:
                if new := wanted & KINDS.keys() - heard:
                    self._listen(line, new)
                    heard |= new
                self._ask(line, "pg_advisory_lock_shared", wanted - held)
                held |= wanted
                self.hears = True
            if wanted == held:
                release_at = None
            elif release_at is None:
                release_at = now + LINGER
            elif now >= release_at:
                self._ask(line, "pg_advisory_unlock_shared", held - wanted)
                held = set(wanted)
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
            elif held:
                timeout = min(timeout, RECHECK)
            for fd, _ in poll.poll(max(0.0, timeout * 1000)):
                if fd == self._read:
                    with contextlib.suppress(OSError):
                        os.read(self._read, 4096)
                else:
                    connection.pgconn.consume_input()
                    while note := connection.pgconn.notifies():
                        notes.append(psycopg.Notify(note.relname.decode(), note.extra.decode(), note.be_pid))

    def _ask(self, line: Line, function: str, words: set[str]) -> None:
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
