"""What a run came to, as a value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import Struct


class ErrorRecord(Struct, frozen=True, omit_defaults=True):
    """An error as it is kept: text only, so that it can be read without the code that raised it."""

    type: str
    message: str
    traceback: str | None = None
    #: the exit signal, exit status or memory figure of a worker that was lost
    cause: str | None = None
    #: the same for errors of the same kind from the same place, so that they can be told together
    fingerprint: str | None = None


def fingerprint(type: str, places: Iterable[str] = ()) -> str:
    """12 hexadecimal digits that errors of one type share that were raised in the same functions: `places` names those of the
    user's code, innermost last. Line numbers do not count, so that it outlives edits elsewhere in the file."""
    return hashlib.sha256("\n".join((type, *places)).encode()).hexdigest()[:12]


class Returned(Struct, tag=True, frozen=True, gc=False):
    """The function returned. `result` is its encoded value, None for None."""

    result: bytes | None = None
    #: the success was already recorded in the task's own transaction
    settled: bool = False


class Raised(Struct, tag=True, frozen=True):
    """The function raised. `final`: the policy says that trying again is no use. `delay`: what a Retry asked for, in seconds."""

    error: ErrorRecord
    final: bool = False
    delay: float | None = None


class Snoozed(Struct, tag=True, frozen=True):
    """The function asked to be run again after `delay` seconds; not an attempt."""

    delay: float
    reason: str = ""


class Cancelled(Struct, tag=True, frozen=True):
    """The run ended because somebody, or the function itself, cancelled the job."""

    reason: str = ""


class Suspended(Struct, tag=True, frozen=True):
    """A durable task waits: for `delay` seconds, or for an event."""

    delay: float | None = None


class Interrupted(Struct, tag=True, frozen=True):
    """The worker stopped before the run could end; not an attempt."""


class Lost(Struct, tag=True, frozen=True):
    """The worker died under the run. `cause` says how (signal, status, memory, lease)."""

    cause: str


Outcome = Returned | Raised | Snoozed | Cancelled | Suspended | Interrupted | Lost
