"""A bucket of tokens: so many at once, then as many as trickle in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MOST = 1000  # visitors that are remembered


class Limit:
    """Lets `burst` through at once, then `per_minute`, for each key. For threads."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # key: tokens, and when that was

    def wait(self, key: str) -> float:
        """0 if it may be done now, which takes a token; else the seconds until there is one."""
        with self._lock:
            now = self._clock()
            tokens, since = self._buckets.pop(key, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - since) * self._rate)
            if len(self._buckets) >= MOST:
                self._buckets.pop(next(iter(self._buckets)))
            left = tokens - 1 if tokens >= 1 else tokens
            self._buckets[key] = (left, now)
            return 0.0 if tokens >= 1 else (1 - tokens) / self._rate
