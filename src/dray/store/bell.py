"""Wake-up between processes on one machine, without polling and without cost while everybody is busy.

A listener has a FIFO in a folder beside the database. It is named so that others see it only while its owner sleeps; to ring is
to look into the folder, and to write one byte to each FIFO of the kind. A listener shows itself first and looks at the store
once more before it sleeps, and a writer commits first and rings then: so no wake-up is lost between them.

A bell is only a hint. Where FIFOs do not exist (Windows, some network file systems), listeners wait for shorter times.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LEFT_BEHIND = 60.0  # seconds; a FIFO younger than this may be one that its owner is about to open
GLANCE = 0.1  # seconds
LOOK = 5.0  # seconds
COARSE = 50_000_000  # nanoseconds
KINDS = ("work", "done", "orders")
_numbers = itertools.count(1)
_names: dict[int, str] = {}


def own_name() -> str:
    """This process in the names of its FIFOs. Its number alone would not do: in two containers on one folder both may have the
    same; and a child has another one than the process that it was forked from."""
    pid = os.getpid()
    if pid not in _names:
        _names[pid] = f"{pid}-{os.urandom(4).hex()}-"
    return _names[pid]


class Listener:
    """Waits for one or more kinds of ring. Used by one thread; `wake` may be called by any."""

    def __init__(self, bell: Bell, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self._bell = bell
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._fifo = -1
        self._shown: Path | None = None
        self._hidden: Path | None = None
        self._asleep = False
        self._rung = False
        if bell.folder is not None:
            self._open_fifo(bell.folder)
        bell.join(self)

    def _open_fifo(self, folder: Path) -> None:
        tail = f"{own_name()}{next(_numbers)}"
        self._shown = folder / ("+".join(self.kinds) + "." + tail)
        self._hidden = folder / ("." + tail)
        try:
            os.mkfifo(self._hidden)
            # Opened for reading and writing, so that it never reports an end when the last writer goes.
            self._fifo = os.open(self._hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            self._fifo, self._shown, self._hidden = -1, None, None

    @property
    def remote(self) -> bool:
        """Whether other processes can wake this listener."""
        return self._fifo >= 0

    @property
    def patience(self) -> float:
        """Seconds of sleep after which to look for jobs by claiming, whatever happens."""
        return LOOK

    @property
    def shy(self) -> float:
        """Seconds of sleep after which to be seen by those who ring: at once, as that costs nobody anything."""
        return 0.0

    def glances(self) -> Iterator[float]:
        """Seconds between looks at the store's pulse while asleep, for commits that ring no bell (the caller's own)."""
        return itertools.repeat(GLANCE)

    def filenos(self) -> list[int]:
        """The descriptors that become readable when it rings, for event loops."""
        return [fd for fd in (self._read, self._fifo) if fd >= 0]

    def only(self, queues: Sequence[str] | None) -> None:
        """Be rung for work of these queues only (None: of all), where that can be told apart: a ring is a hint."""

    def doze(self) -> None:
        """Sleep, seen by this process only."""
        self._asleep = True

    def show(self) -> None:
        """Be seen by those who ring. Look at the store once more after this, before `wait`."""
        self._asleep = True
        if self._shown is not None and self._hidden is not None:
            with contextlib.suppress(OSError):
                os.rename(self._hidden, self._shown)

    def hide(self) -> None:
        """Be seen no more, and forget what has rung."""
        self._asleep = False
        self._rung = False
        if self._shown is not None and self._hidden is not None:
            with contextlib.suppress(OSError):
                os.rename(self._shown, self._hidden)
        for fd in (self._read, self._fifo):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    while os.read(fd, 4096):
                        pass

    def wait(self, timeout: float | None) -> bool:
        """Sleep until rung, at most `timeout` seconds; whether it rang."""
        poll = select.poll()
        for fd in self.filenos():
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0.0, timeout * 1000)))

    def wake(self) -> None:
        """Ring this one listener, from any thread of this process; costs nothing while it is awake."""
        if self._asleep and not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):
                os.write(self._write, b"!")

    def close(self) -> None:
        """Done listening."""
        self._bell.part(self)
        for path in (self._shown, self._hidden):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()
        for fd in (self._read, self._write, self._fifo):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._read = self._write = self._fifo = -1


class Bell:
    """Rings the listeners of this process, and those of others whose FIFOs are in `folder` (None: there are no others)."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()
        self._quiet_since = 0  # the folder's time of change when nobody in it was asleep; 0: not known
        if folder is not None and hasattr(os, "mkfifo"):
            try:
                folder.mkdir(exist_ok=True)
            except OSError:
                self.folder = None

    def listen(self, *kinds: str) -> Listener:
        """A new listener."""
        if self.folder is not None:
            self._sweep(self.folder)
        return Listener(self, kinds)

    def _sweep(self, folder: Path) -> None:
        """Remove what processes left behind that were killed while they were awake. (The others are found when they are rung.)"""
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name.startswith(".") and time.time() - entry.stat().st_ctime > LEFT_BEHIND:
                    self._bury_if_dead(Path(entry.path))

    def join(self, listener: Listener) -> None:
        """Called by a listener."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def part(self, listener: Listener) -> None:
        """Called by a listener."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def ring(self, kinds: set[str]) -> None:
        """Wake whoever sleeps and listens for one of `kinds`."""
        for listener in self._listeners:
            if not kinds.isdisjoint(listener.kinds):
                listener.wake()
        if self.folder is not None:
            try:
                self._ring_others(self.folder, kinds)
            except OSError:
                return  # no such folder (any more): nobody can be heard there

    def _ring_others(self, folder: Path, kinds: set[str]) -> None:
        changed = os.stat(folder).st_mtime_ns
        if changed == self._quiet_since:
            return  # as it was when we last looked, and then everybody was awake
        own = own_name()
        asleep = False
        for name in os.listdir(folder):
            heads, _, tail = name.partition(".")
            if heads and not tail.startswith(own):
                asleep = True
                if not kinds.isdisjoint(heads.split("+")):
                    self._ring_fifo(folder / name)
        # The folder's time is coarse (some milliseconds): it is worth remembering only once it is well in the past.
        settled = not asleep and time.time_ns() - changed > COARSE
        self._quiet_since = changed if settled else 0

    def _bury_if_dead(self, path: Path) -> None:
        fd = self._open_to_write(path)
        if fd is not None:
            os.close(fd)

    def _open_to_write(self, path: Path) -> int | None:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody reads it: its owner is dead
                with contextlib.suppress(OSError):
                    path.unlink()
            return None

    def _ring_fifo(self, path: Path) -> None:
        fd = self._open_to_write(path)
        if fd is None:
            return
        try:
            with contextlib.suppress(OSError):  # full: it has been rung often enough
                os.write(fd, b"!")
        finally:
            os.close(fd)
