"""The dashboard for WSGI applications (Flask, Django, any other): the ASGI application behind a2wsgi, which runs an event loop in a
thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from dray.dashboard.app import make
from dray.dashboard.settings import Settings
from dray.errors import ConfigurationError

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.insight import Insight

LEAVE = "dray.leave"  # in the environ: ends the request
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class WsgiDashboard:
    """A WSGI application. Where it is mounted, it learns from SCRIPT_NAME. A page that is looked at keeps one of the server's
    threads for its live updates."""

    def __init__(self, source: Dray | Insight, settings: Settings | None = None) -> None:
        try:
            from a2wsgi import ASGIMiddleware
        except ImportError:
            raise ConfigurationError(
                "The dashboard in a WSGI application needs the package a2wsgi: pip install 'dray[wsgi]'."
            ) from None
        self._bridge: Any = ASGIMiddleware
        self._make = partial(make, source, settings)
        self._lock = threading.Lock()
        self._pid = 0
        self._made: Wsgi | None = None
        self.app: Starlette | None = None  # of this process, once it has been asked

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        made = self._here()
        try:
            yield from made(environ, start_response)
        finally:
            # A visitor who leaves a stream is told to nobody by a2wsgi: the stream would wait for ever.
            if leave := environ.get(LEAVE):
                leave()

    def _here(self) -> Wsgi:
        """The application of this process: a server that forks has made ours before, and no thread outlives a fork."""
        with self._lock:
            if self._made is None or self._pid != os.getpid():
                self._pid, self.app = os.getpid(), self._make()
                self._made = cast(Wsgi, self._bridge(_leavable(self.app)))
            return self._made


def _leavable(app: ASGIApp) -> ASGIApp:
    """The application, whose requests can be ended from where WSGI is."""

    async def leavable(scope: Scope, receive: Receive, send: Send) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        scope["wsgi_environ"][LEAVE] = lambda: loop.call_soon_threadsafe(task.cancel)
        await app(scope, receive, send)

    return leavable
