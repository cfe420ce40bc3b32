"""What time it is, asked in two ways, and only by the stores.

`wall` dates things that people read and that jobs wait for. `steady` measures leases: it never steps, it stops while the
machine is suspended (when nobody's lease should run out), and all processes of one boot read the same value, so that a lease
granted by one process can be judged by another whatever happens to the wall clock.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

SECOND = 1_000_000  # all stored times are integers in microseconds


class Clock(Protocol):
    """A source of time. Both readings are in microseconds."""

    def wall(self) -> int:
        """Microseconds since 1970-01-01T00:00Z."""
        ...

    def steady(self) -> int:
        """Microseconds since some point in this boot of the machine; never steps back."""
        ...

    @property
    def boot(self) -> str:
        """Names this boot of the machine: steady readings of another boot mean nothing."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._boot = _boot_id()

    def wall(self) -> int:
        return time.time_ns() // 1000

    def steady(self) -> int:
        return time.monotonic_ns() // 1000

    @property
    def boot(self) -> str:
        return self._boot


class ManualClock:
    """A clock for tests, which stands still until it is turned. `start` is in seconds since 1970."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._wall = int(start * SECOND)
        self._steady = 0
        self._boot = "manual"

    def wall(self) -> int:
        return self._wall

    def steady(self) -> int:
        return self._steady

    @property
    def boot(self) -> str:
        return self._boot

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._wall += int(seconds * SECOND)
        self._steady += int(seconds * SECOND)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back by `seconds`, as an administrator or NTP does; no time passes."""
        self._wall += int(seconds * SECOND)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Elsewhere the time of boot, to the minute, tells boots apart well enough.
        return f"boot-{round((time.time() - time.monotonic()) / 60)}"
