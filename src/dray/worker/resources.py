"""What tasks ask the worker for: made once in a process, when first needed, and closed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from dray.errors import ConfigurationError, WorkerError


class Resources:
    """The resources of one worker process."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._async = {name for name, maker in makers.items() if is_async(maker)}
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._alock: asyncio.Lock | None = None
        self._close = contextlib.ExitStack()
        self._aclose = contextlib.AsyncExitStack()

    def get(self, name: str) -> Any:
        """For a plain function. Raises WorkerError for an async resource, ConfigurationError for an unknown one."""
        if name in self._made and name not in self._async:
            return self._made[name]
        maker = self._maker(name)
        if name in self._async:
            raise WorkerError(f"The resource {name!r} is async; a plain function cannot use it. Make the task an `async def`.")
        with self._lock:
            if name not in self._made:
                if inspect.isgeneratorfunction(maker):
                    self._made[name] = self._close.enter_context(contextlib.contextmanager(maker)())
                else:
                    self._made[name] = maker()
            return self._made[name]

    async def aget(self, name: str) -> Any:
        """For a coroutine; called on the worker's event loop."""
        try:
            return self._made[name]
        except KeyError:
            pass
        maker = self._maker(name)
        if name not in self._async:
            return self.get(name)
        if self._alock is None:
            self._alock = asyncio.Lock()
        async with self._alock:
            if name not in self._made:
                if inspect.isasyncgenfunction(maker):
                    self._made[name] = await self._aclose.enter_async_context(contextlib.asynccontextmanager(maker)())
                else:
                    self._made[name] = await maker()
            return self._made[name]

    async def aclose(self) -> None:
        """Close the async ones, on the loop that made them."""
        await self._aclose.aclose()

    def close(self) -> None:
        """Close the others."""
        self._close.close()

    def _maker(self, name: str) -> Callable[[], Any]:
        try:
            return self._makers[name]
        except KeyError:
            known = ", ".join(sorted(self._makers)) or "none"
            raise ConfigurationError(
                f"A task asks for the resource {name!r}, which the app does not have (it has: {known}); register it with "
                f"@app.resource({name!r})."
            ) from None


def is_async(maker: Callable[[], Any]) -> bool:
    """Whether a resource has to be awaited."""
    return inspect.iscoroutinefunction(maker) or inspect.isasyncgenfunction(maker)
