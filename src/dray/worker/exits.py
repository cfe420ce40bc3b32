"""How processes end, and what that means."""

from __future__ import annotations

import contextlib
import signal

#: the status of a worker process whose app cannot be loaded, whose start hook raised, or whose store is out of reach
CANNOT_START = 3


def how_it_ended(code: int) -> str:
    """An exit status, as `subprocess` gives it, in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"exit signal {-code} ({signal.Signals(-code).name})"
        return f"exit signal {-code}"
    return f"exit status {code}"
