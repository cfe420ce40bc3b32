"""Wake-up by publish and subscribe: a hint only.

Who sleeps subscribes, on one connection of the process that serves all its listeners; each script publishes at its end what it has
made ready. To nobody that costs the server next to nothing, so that a busy system pays nothing for it. A hint can be lost with a
connection, so sleepers look by themselves, ever more rarely.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from redis import exceptions

from dray.errors import DrayError
from dray.store.bell import Bell, Listener
from dray.store.redis.lines import Lines
from dray.store.redis.shards import KINDS

log = logging.getLogger("dray.redis")

FIRST_GLANCE = 0.002  # seconds after lying down
SHY = 0.012  # seconds of sleep before being seen: after the third glance
RARELY = 10.0  # seconds between glances, at most, where hints arrive
OFTEN = 1.0  # … and where they do not
LINGER = 0.02  # seconds that a subscription is kept after waking, for one that sleeps again at once
CONFIRM = 0.1  # seconds to wait until a subscription counts
HEARTBEAT = 20.0  # seconds between questions whether the connection is still alive
ANSWER = 5.0  # seconds for an answer on it
RETRY = 2.0  # seconds between attempts to connect, at most


class RedisListener(Listener):
    """Waits to be woken, by this process or by others."""

    def __init__(self, bell: RedisBell, kinds: tuple[str, ...]) -> None:
        self._ear = bell.ear
        self._shown_here = False
        super().__init__(bell, kinds)

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
        """Seconds of sleep after which to be seen by those who ring."""
        return SHY

    def glances(self) -> Iterator[float]:
        """Seconds between looks while asleep."""
        pause = FIRST_GLANCE
        while True:
            yield pause
            pause = min(RARELY if self.remote else OFTEN, pause * 2)

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


class RedisBell(Bell):
    """Rings the listeners of this process. Those of others are told by the scripts themselves."""

    def __init__(self, lines: Lines, channels: str) -> None:
        super().__init__(None)
        self.ear = Ear(lines, channels, self)

    def listen(self, *kinds: str) -> RedisListener:
        """A new listener."""
        return RedisListener(self, kinds)

    def stop(self) -> None:
        """Hear no more."""
        self.ear.stop()


class Ear:
    """One connection and one thread of this process that hear for all its listeners, as long as there are any that sleep."""

    def __init__(self, lines: Lines, channels: str, bell: Bell) -> None:
        self._lines = lines
        self._names = {kind: f"{channels}{kind}" for kind in KINDS}
        self._kinds = {name.encode(): kind for kind, name in self._names.items()}
        self._bell = bell
        self._going = True
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._asleep: Counter[str] = Counter()
        self._held: frozenset[str] = frozenset()  # what is subscribed and confirmed
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self.hears = False

    def show(self, kinds: tuple[str, ...]) -> None:
        """One more sleeps who waits for `kinds`."""
        if self._pid != os.getpid():
            self._start()
        with self._changed:
            self._asleep.update(kinds)
            if self._thread is None and self._going:
                self._thread = threading.Thread(target=self._hear, name="dray-ear", daemon=True)
                self._thread.start()
            if self._held.issuperset(kinds):
                return
            self._poke()
            self._changed.wait_for(lambda: self._held.issuperset(kinds), CONFIRM if self.hears or not self._held else 0.0)

    def hide(self, kinds: tuple[str, ...]) -> None:
        """One of them has woken."""
        with self._changed:
            self._asleep.subtract(kinds)

    def stop(self) -> None:
        """End."""
        self._going = False
        self._poke()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(2.0)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    # -- the thread

    def _hear(self) -> None:
        pause = 0.05
        while self._going:
            connection = None
            try:
                connection = self._lines.router.connect(self._lines.router.address(0), ANSWER)
                pause = 0.05
                self._stay(connection)
            except (DrayError, exceptions.RedisError, OSError) as error:
                if self._going:
                    log.debug("not listening: %s", error)
                    self._lines.router.forget()
            except Exception:  # a defect must not leave everybody deaf for ever
                log.exception("unexpected error while listening")
            finally:
                self._hold(frozenset(), hears=False)
                if connection is not None:
                    connection.disconnect()
                if self._going:
                    self._bell.ring(set(KINDS))  # there may have been something meanwhile
            self._rest(pause)
            pause = min(RETRY, pause * 2)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._going and time.monotonic() < until:
            time.sleep(min(0.1, seconds))

    def _hold(self, kinds: frozenset[str], *, hears: bool) -> None:
        with self._changed:
            self._held = kinds
            self.hears = hears
            self._changed.notify_all()

    def _stay(self, connection: Any) -> None:
        asked: set[str] = set()
        release_at: float | None = None
        beat_at, answer_by = time.monotonic() + HEARTBEAT, float("inf")
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(connection._sock.fileno(), select.POLLIN)
        while self._going:
            wanted = {kind for kind in KINDS if self._asleep[kind] > 0}
            now = time.monotonic()
            if now > answer_by:
                raise exceptions.ConnectionError("the server does not answer any more")
            if wanted - asked:
                connection.send_command("SUBSCRIBE", *(self._names[kind] for kind in sorted(wanted - asked)), check_health=False)
                asked |= wanted
                answer_by = min(answer_by, now + ANSWER)
            if asked <= wanted:
                release_at = None
            elif release_at is None:
                release_at = now + LINGER
            elif now >= release_at:
                connection.send_command("UNSUBSCRIBE", *(self._names[kind] for kind in sorted(asked - wanted)), check_health=False)
                self._hold(self._held & wanted, hears=self.hears)
                asked &= wanted
                release_at = None
            if now >= beat_at:
                connection.send_command("PING", check_health=False)
                answer_by = min(answer_by, now + ANSWER)
                beat_at = now + HEARTBEAT
            until = min(beat_at, answer_by, release_at or float("inf"))
            for fd, _ in poll.poll(max(0.0, (until - time.monotonic()) * 1000) + 1):
                if fd == self._read:
                    with contextlib.suppress(OSError):
                        os.read(self._read, 4096)
                elif self._take_notes(connection):
                    answer_by = float("inf")

    def _take_notes(self, connection: Any) -> bool:
        kinds, confirmed = set(), set(self._held)
        while True:
            note = connection.read_response(disable_decoding=True, timeout=ANSWER)
            if isinstance(note, list) and len(note) == 3:
                kind = self._kinds.get(note[1])
                if kind is not None and note[0] == b"message":
                    kinds.add(kind)
                elif kind is not None and note[0] == b"subscribe":
                    confirmed.add(kind)
                elif kind is not None and note[0] == b"unsubscribe":
                    confirmed.discard(kind)
            if not connection.can_read(0):
                break
        if confirmed != self._held:
            self._hold(frozenset(confirmed), hears=True)
        if kinds:
            self._bell.ring(kinds)
        return True
