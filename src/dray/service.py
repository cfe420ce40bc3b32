"""A loop in a thread, written once: every so often, woken early, stopped at once, and not ended by an error."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from dray.errors import DrayError
from dray.observe.log import get_logger

log = get_logger("service")


class Service:
    """Calls `work` every `interval` seconds, give or take a tenth; `work` may return other seconds for the next time."""

    def __init__(self, name: str, interval: float, work: Callable[[], float | None]) -> None:
        self.name = name
        self._interval = interval
        self._work = work
        self._wake = threading.Event()
        self._going = True
        self._thread = threading.Thread(target=self._loop, name=f"dray-{name}", daemon=True)

    def start(self) -> None:
        """Begin, with the first call at once."""
        self._thread.start()

    def wake(self) -> None:
        """Call `work` now."""
        self._wake.set()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the call that is under way."""
        self._going = False
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while self._going:
            pause: float | None = None
            try:
                pause = self._work()
            except DrayError as error:
                log.warning("%s: %s", self.name, error)
            except Exception:
                log.exception("%s: unexpected error", self.name)
            seconds = self._interval if pause is None else pause
            self._wake.wait(seconds * (0.9 + 0.2 * random.random()))
            self._wake.clear()
