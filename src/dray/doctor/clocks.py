"""The clock of a server beside that of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from dray.doctor.finding import Finding, note, ok, wrong
from dray.model.duration import human

CLOSE, FAR = 1.0, 60.0  # seconds between the clocks


def compared(there: Callable[[], float]) -> Finding:
    """The finding about a server that tells its time by `there`, in seconds since 1970."""
    best, offset = 1e9, 0.0
    for _ in range(3):
        before = time.time()
        told = there()
        after = time.time()
        if after - before < best:
            best, offset = after - before, told - (before + after) / 2
    return of_offset(offset, best)


def of_offset(offset: float, trip: float) -> Finding:
    """The finding about a clock that is `offset` seconds ahead of ours, asked in a round trip of `trip` seconds."""
    off = max(0.0, abs(offset) - trip / 2)
    way = "ahead of" if offset > 0 else "behind"
    message = f"The server's clock is {human(round(off, 1))} {way} that of this machine."
    fix = "Keep both right (chrony or systemd-timesyncd): times given with at= and expires= come too early or too late."
    if off > FAR:
        return wrong("clock-offset", message, fix)
    if off > CLOSE:
        return note("clock-offset", message, fix)
    return ok("clock-offset", "The clocks of the server and of this machine agree.")
