"""Being woken by other processes through a server: what the stores on servers have in common.

Who sleeps is seen by the server as long as it sleeps, over one connection of the process that hears for all its listeners. A hint
can be lost with that connection, so sleepers look by themselves too: after 2 ms, 4 ms, 8 ms …, and rarely in the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dray.errors import DrayError
from dray.store.bell import Bell, Listener

log = logging.getLogger("dray.store")

KINDS = ("work", "done", "orders")  # what is rung for
FIRST_GLANCE = 0.002  # seconds after lying down
SHY = 0.012  # seconds of sleep before being seen: after the third glance
RARELY = 10.0  # seconds between glances, at most, where hints arrive
OFTEN = 1.0  # … and where they do not
SELDOM = 4.0  # … after a minute in which nothing was found
MINUTE = 60.0
CONFIRM = 0.1  # seconds to wait until one who sleeps is seen
RETRY = 2.0  # seconds between attempts to connect, at most


class RemoteListener(Listener):
    """Waits to be woken, by this process or by others."""

    def __init__(self, bell: RemoteBell, kinds: tuple[str, ...]) -> None:
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
        """Seconds of sleep after which to be seen by those who ring. Under a steady load the glances come sooner, and nobody has to
        ring."""
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


class RemoteBell(Bell):
    """Rings the listeners of this process. Those of others are told by the server. `ear`: makes what hears it."""

    def __init__(self, ear: Callable[[Bell], Ear]) -> None:
        super().__init__(None)
        self.ear = ear(self)

    def listen(self, *kinds: str) -> RemoteListener:
        """A new listener."""
        return RemoteListener(self, kinds)

    def stop(self) -> None:
        """Hear no more."""
        self.ear.stop()


class Ear(ABC):
    """One connection and one thread of this process that hear for all its listeners, as long as there are any that sleep."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._going = True
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._asleep: Counter[str] = Counter()
        self.held: frozenset[str] = frozenset()  # for what the server sees us sleep
        self.hears = False
        self._late: set[str] = set()  # for what somebody lay down without having been seen in time
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def show(self, kinds: tuple[str, ...]) -> None:
        """One more sleeps who waits for `kinds`; returns once that is seen, if that does not take long."""
        if self._pid != os.getpid():
            self._start()
        with self._changed:
            self._asleep.update(kinds)
            if not self._going or not self.possible:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._hear, name="dray-ear", daemon=True)
                self._thread.start()
            if not self.held.issuperset(kinds):
                self._poke()
                if not self._changed.wait_for(lambda: self.held.issuperset(kinds), CONFIRM):
                    self._late.update(kinds)

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

    @property
    def possible(self) -> bool:
        """Whether anybody could be heard at all."""
        return True

    @abstractmethod
    def open(self) -> Any:
        """Make a connection. Raises one of `troubles`, DrayError."""

    @abstractmethod
    def stay(self, connection: Any) -> None:
        """Hear what comes over it, until `_going` is over or it ends by one of `troubles`."""

    @abstractmethod
    def shut(self, connection: Any) -> None:
        """Close it."""

    troubles: tuple[type[Exception], ...] = (OSError,)

    def _hear(self) -> None:
        pause = 0.05
        while self._going and self.possible:
            connection = None
            try:
                connection = self.open()
                if not self.possible:
                    break  # it has just turned out
                pause = 0.05
                self.stay(connection)
            except Exception as error:  # a defect must not leave everybody deaf for ever
                if not isinstance(error, (DrayError, *self.troubles)):
                    log.exception("unexpected error while listening")
                elif self._going:
                    log.debug("not listening: %s", error)
            finally:
                self.hold(frozenset(), hears=False)
                if connection is not None:
                    self.shut(connection)
                if self._going:
                    self._bell.ring(set(KINDS))  # there may have been something meanwhile
            self._rest(pause)
            pause = min(RETRY, pause * 2)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._going and time.monotonic() < until:
            time.sleep(min(0.1, seconds))

    def poll(self, fileno: int) -> select.poll:
        """Waits for what comes from the server, and for being poked."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(fileno, select.POLLIN)
        return poll

    def heard(self, events: Sequence[tuple[int, int]]) -> bool:
        """Forget having been poked; whether there is something from the server, too."""
        if any(fd == self._read for fd, _ in events):
            with contextlib.suppress(OSError):
                os.read(self._read, 4096)
        return any(fd != self._read for fd, _ in events)

    def wanted(self) -> frozenset[str]:
        """For what somebody sleeps at present."""
        with self._changed:
            return frozenset(kind for kind, sleepers in self._asleep.items() if sleepers > 0)

    def hold(self, kinds: frozenset[str], *, hears: bool = True) -> None:
        """For these the server sees us sleep from now on."""
        with self._changed:
            self.held = kinds
            self.hears = hears
            missed = self._late & kinds
            self._late -= kinds
            self._changed.notify_all()
        if missed:
            self._bell.ring(missed)  # whoever was not seen until now may have missed what rang meanwhile

    def let_go(self) -> frozenset[str]:
        """Give up what nobody sleeps for any more; what it was. Whoever sleeps for it from now on waits until it is held again."""
        with self._changed:
            idle = frozenset(kind for kind in self.held if self._asleep[kind] <= 0)
            self.held -= idle
            return idle
