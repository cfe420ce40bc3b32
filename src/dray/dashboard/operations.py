"""Bulk actions that go on in the background, and how far they are. Kept by the process that was asked; the last few of them."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from dray.errors import DrayError

log = logging.getLogger("dray.dashboard")

KEPT = 50


class Operation(Struct, kw_only=True):
    """One of them."""

    id: str
    action: str  # retry, cancel or delete
    what: str  # the search
    expected: int  # how many matched when it was asked for
    by: str
    began: float
    done: int = 0
    matched: int | None = None  # when it is over
    answers: dict[str, int] = {}
    error: str = ""
    ended: float | None = None
    stop: bool = False

    @property
    def seconds(self) -> float:
        """How long it took, or goes on."""
        return (self.ended or time.monotonic()) - self.began


class Stopped(Exception):
    """Somebody had it stopped."""


#: Does the work: given what to call with the numbers done and matched so far; gives how many matched, and what came of them.
Work = Callable[[Callable[[int, int], None]], tuple[int, dict[str, int]]]


class Operations:
    """Those of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Operation] = {}
        self._closed = False

    def start(self, work: Work, **about: Any) -> Operation:
        """Do it in a thread of its own. `about`: action, what, expected, by."""
        made = Operation(id=secrets.token_urlsafe(9), began=time.monotonic(), **about)
        with self._lock:
            self._known[made.id] = made
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
        threading.Thread(target=self._run, args=(made, work), name=f"dray-bulk-{made.action}", daemon=True).start()
        return made

    def get(self, id: str) -> Operation | None:
        """One, if this process knows it."""
        return self._known.get(id)

    def close(self) -> None:
        """Stop them all at their next batch."""
        self._closed = True

    def _run(self, operation: Operation, work: Work) -> None:
        def progress(done: int, matched: int) -> None:
            operation.done = done
            if operation.stop or self._closed:
                raise Stopped

        try:
            operation.matched, operation.answers = work(progress)
            operation.done = operation.matched
        except Stopped:
            operation.error = f"It was stopped after {operation.done:,} jobs; what had been done stays done."
        except DrayError as error:
            operation.error = str(error)
        except Exception:
            log.exception("the bulk %s of %r failed", operation.action, operation.what)
            operation.error = "It failed in an unexpected way; the server's log has the traceback."
        finally:
            operation.ended = time.monotonic()
