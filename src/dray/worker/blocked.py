"""Notices when something blocks the event loop, and names it: job, file, line, and how long."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dray.model.duration import human
from dray.observe.log import get_logger

log = get_logger("loop")

TICK = 0.25  # seconds between signs of life
PATIENCE = 1.0  # seconds without one before it is said


class LoopWatch:
    """Looks from a thread at whether the loop still turns."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, describe: Callable[[asyncio.Task[Any]], str | None], *, patience: float = PATIENCE
    ) -> None:
        self._loop = loop
        self._describe = describe
        self._patience = patience
        self._beat = time.monotonic()
        self._thread_id = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="dray-watch", daemon=True)
        self._handle: asyncio.TimerHandle | None = None
        #: the places that were named, newest last; for tests and for the curious
        self.seen: list[str] = []

    def start(self) -> None:
        """Called on the loop."""
        self._thread_id = threading.get_ident()
        self._tick()
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._handle is not None:
            self._loop.call_soon_threadsafe(self._handle.cancel)
        self._thread.join(2)

    @property
    def age(self) -> float:
        """Seconds since the loop last gave a sign of life."""
        return time.monotonic() - self._beat

    def _tick(self) -> None:
        self._beat = time.monotonic()
        if not self._stop.is_set():
            self._handle = self._loop.call_later(TICK, self._tick)

    def _look(self) -> None:
        named_at = 0.0
        blocked_since: float | None = None
        while not self._stop.wait(TICK):
            age = self.age
            if age < self._patience:
                if blocked_since is not None:
                    log.warning("the event loop turns again, it was blocked for %s", human(time.monotonic() - blocked_since))
                blocked_since = None
                continue
            now = time.monotonic()
            if blocked_since is None:
                blocked_since, named_at = self._beat, 0.0
            if now - named_at >= max(self._patience, 2 * (named_at - blocked_since)):
                named_at = now
                place = self._place()
                self.seen.append(place)
                log.warning("the event loop is blocked since %s by %s; use a plain `def`, or await", human(age), place)

    def _place(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return "an unknown place"
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            task = None
        if task is None:
            return where
        return f"{self._describe(task) or task.get_name()} at {where}"

