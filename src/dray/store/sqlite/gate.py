"""A fair queue in front of SQLite's single writer.

SQLite lets whoever asks at the right moment write, and puts the others to sleep for up to 100 ms at a time: with several
processes one of them writes at full speed and the others starve. A lock on a side file makes them take turns.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock; SQLite's own waiting must do there
    fcntl = None  # type: ignore[assignment]


class Gate:
    """Taken around every write transaction of this process; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        if fcntl is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def try_take(self) -> bool:
        """Take it if it is free; whether it was."""
        if self._fd < 0:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        """Wait for our turn, in the kernel's queue and for however long it takes."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_EX)

    def take(self, timeout: float) -> bool:
        """Wait for our turn, at most `timeout` seconds; whether it came."""
        return self.try_take() or self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        # flock knows no timeout, and polling for it would not be fair: a thread waits in the kernel's queue for us. Should we
        # give up before it gets the lock, it gives the lock back.
        came, lock = threading.Event(), threading.Lock()
        gave_up = False

        def wait() -> None:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with lock:
                if gave_up:
                    os.close(fd)
                else:
                    came.set()

        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        waited = False
        try:
            threading.Thread(target=wait, name="dray-gate", daemon=True).start()
            came.wait(timeout)
            waited = True
        finally:
            with lock:
                gave_up = not waited or not came.is_set()
                if gave_up and came.is_set():  # Ctrl-C, and the lock had come: nobody would ever give it back
                    os.close(fd)
        if gave_up:
            return False
        # The lock belongs to the descriptor that the thread opened: that is ours from now on.
        os.close(self._fd)
        self._fd = fd
        return True

    def give(self) -> None:
        """Let the next one in."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Done with it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class NoGate:
    """For a database that only this connection can see."""

    def try_take(self) -> bool:
        """Always our turn."""
        return True

    def wait(self) -> None:
        """No need to."""

    def take(self, timeout: float) -> bool:
        """Always our turn."""
        return True

    def give(self) -> None:
        """Nothing to give."""

    def close(self) -> None:
        """Nothing to close."""
