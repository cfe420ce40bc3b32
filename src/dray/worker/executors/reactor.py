"""A thread that waits for files to become ready, and does what other threads ask of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from dray.observe.log import get_logger

log = get_logger("reactor")

Owner = TypeVar("Owner")


class Reactor(Generic[Owner]):
    """The thread starts with the first `call`. It waits for at most `timeout()` seconds (None: until something happens), calls
    `ready(owner, file, events)` for each file that is ready, does what was asked for by `call`, and then calls `between()`.

    An exception that one of these raises is logged, and the thread goes on.
    """

    def __init__(
        self, name: str, timeout: Callable[[], float | None], ready: Callable[[Owner, Any, int], None], between: Callable[[], None]
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._ready = ready
        self._between = between
        self._calls: deque[Callable[[], object]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._lock = threading.Lock()  # of the thread's start, and of the pipe's end
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._closed = False

    # -- called by other threads

    def call(self, what: Callable[[], object]) -> None:
        """Have the thread do this soon; nothing happens after `stop`."""
        with self._lock:
            if self._closed:
                return
            self._calls.append(what)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, b"!")

    def stop(self, last: Callable[[], None], within: float) -> None:
        """Have the thread do `last` and end; wait for that for `within` seconds."""

        def end() -> None:
            self._stopping = True
            last()

        if self._thread is None:
            self._close()
            return
        self.call(end)
        self._thread.join(within)

    # -- called by the thread itself

    def watch(self, file: Any, owner: Owner, events: int = selectors.EVENT_READ) -> None:
        """Wait for `events` of this file from now on."""
        try:
            self._selector.modify(file, events, owner)
        except KeyError:
            self._selector.register(file, events, owner)

    def forget(self, file: Any) -> None:
        """Do not wait for it any more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(file)

    def _work(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # a defect must not end the thread that everything here hangs on
                log.exception("unexpected error in the thread %s", self._name)
        self._close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._timeout()):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            else:
                self._ready(key.data, key.fileobj, events)
        while self._calls and not self._stopping:
            self._calls.popleft()()
        if not self._stopping:
            self._between()

    def _close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._selector.close()
                os.close(self._wake_read)
                os.close(self._wake_write)
