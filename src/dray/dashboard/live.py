"""Tells pages that what they show may have changed: one stream of server-sent events for each page that is looked at.

One thread for each process asks the store whether anybody has written, and wakes all streams; the pages then fetch themselves.
Where a store cannot tell, it counts as changed at every look.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import StreamingResponse

from dray.errors import DrayError

if TYPE_CHECKING:
    from dray.store.protocol import Store

EVERY = 1.0  # seconds between looks
AT_LEAST = 10.0  # seconds: ages and leases change although nobody writes
HEARTBEAT = 15.0  # seconds: proxies close what is silent for long
RETRY = 2000  # milliseconds until a browser connects anew


class Ticker:
    """Counts changes, and wakes who listens. Its thread runs while somebody does."""

    def __init__(self, store: Store, every: float = EVERY) -> None:
        self._store = store
        self._every = every
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.number = 1  # of the last change

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each change, from the thread, until `leave`."""
        with self._lock:
            self._listeners.add(wake)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="dray-dashboard-ticker", daemon=True)
                self._thread.start()

    def leave(self, wake: Callable[[], None]) -> None:
        """No more calls."""
        with self._lock:
            self._listeners.discard(wake)

    def close(self) -> None:
        """End the thread, and all streams."""
        self._stop.set()
        self._wake()

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._stop.is_set()

    def _run(self) -> None:
        pulse, quiet = self._pulse(), 0.0
        while not self._stop.wait(self._every):
            with self._lock:
                if not self._listeners:
                    self._thread = None
                    return
            seen = self._pulse()
            quiet += self._every
            if seen != pulse or quiet >= AT_LEAST:
                pulse, quiet = seen, 0.0
                self.number += 1
                self._wake()

    def _pulse(self) -> int | None:
        try:
            return self._store.pulse()
        except DrayError:
            return None  # the page that fetches itself will say what is wrong

    def _wake(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for wake in listeners:
            with contextlib.suppress(RuntimeError):  # its event loop has ended
                wake()


async def stream(request: Request) -> StreamingResponse:
    """GET /live: an event "change" with a growing number for each change, comments in between to keep the line open."""
    ticker: Ticker = request.app.state.house.ticker
    seen = request.headers.get("last-event-id", "")
    headers = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    missed = seen.isdecimal() and int(seen) != ticker.number
    return StreamingResponse(_events(ticker, missed), media_type="text/event-stream", headers=headers)


async def _events(ticker: Ticker, missed: bool) -> AsyncIterator[str]:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    ticker.listen(wake)
    try:
        yield f"retry: {RETRY}\nid: {ticker.number}\nevent: hello\ndata: {ticker.number}\n\n"
        if missed:
            changed.set()
        while not ticker.closed:
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            changed.clear()
            if not ticker.closed:
                yield f"id: {ticker.number}\nevent: change\ndata: {ticker.number}\n\n"
    finally:
        ticker.leave(wake)
