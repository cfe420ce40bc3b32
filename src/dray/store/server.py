"""What the stores on servers have in common: verbs go to the session, listeners come from the bell."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from dray.store.bell import Bell
from dray.store.plan import Plan
from dray.store.remote import RemoteBell, RemoteListener

T = TypeVar("T")


class ServerPlace(Protocol):
    """Where it is."""

    @property
    def url(self) -> str: ...
    @property
    def where(self) -> str: ...


class ServerSession(Protocol):
    """Runs plans on it, in both colours."""

    bell: Bell | None

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
    def close(self) -> None: ...


class ServerStore:
    """A store on a server, or on several that are one."""

    round = 3.0
    shared = True

    def __init__(self, place: ServerPlace, session: ServerSession, bell: RemoteBell) -> None:
        self.url = place.url
        self.where = place.where  # the place, for people
        self._session = session
        self._bell = bell
        session.bell = bell
        self._pulses = itertools.count()

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out a verb of `plans`. Raises StoreError."""
        return self._session.run(verb, *args)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines."""
        return await self._session.arun(verb, *args)

    def pulse(self) -> int:
        """Another number each time: whether somebody has written is not to be had for less than a look."""
        return next(self._pulses)

    def listen(self, *kinds: str) -> RemoteListener:
        """Be woken when there is "work", when a job is "done", or when there are "orders"."""
        return self._bell.listen(*kinds)

    def close(self) -> None:
        """Close it."""
        self._bell.stop()
        self._session.close()
