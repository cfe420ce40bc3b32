"""Verbs that wait to be carried out by another thread, and how their answers come back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dray.store.plan import Plan

if TYPE_CHECKING:
    import asyncio


class Signal:
    """Set once, waited for by one. A lock, because Ctrl-C during its wait leaves nothing behind; in the wait of `threading.Event`
    it may come between a release and its acquiring again, and then there is a RuntimeError instead."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the one who waits go on; called once."""
        self._lock.release()

    def wait(self, timeout: float = -1) -> bool:
        """Wait, at most `timeout` seconds (-1: for ever); whether it is set. Once it has said so, do not ask again."""
        return self._lock.acquire(timeout=timeout)


class Request:
    """One verb that somebody wants carried out."""

    __slots__ = ("answer", "args", "done", "error", "event", "future", "taken", "verb")

    def __init__(
        self, verb: Callable[..., Plan[Any]], args: tuple[Any, ...], future: asyncio.Future[Any] | None = None
    ) -> None:
        self.verb = verb
        self.args = args
        self.future = future
        self.answer: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.taken = False  # it is being carried out: too late to give up on it
        self.event: Signal | None = None  # set when it is done, if a blocking caller waits for another thread


def finish(request: Request, answer: Any = None, error: BaseException | None = None) -> None:
    """Put the answer where the one who asked finds it."""
    request.answer, request.error, request.done = answer, error, True
    event, request.event = request.event, None
    if event is not None:
        event.set()


def answer_futures(batch: Iterable[Request]) -> None:
    """Tell the event loops that wait; one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Request]] = {}
    for request in batch:
        if request.done and request.future is not None:
            by_loop.setdefault(request.future.get_loop(), []).append(request)
    for loop, requests in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, requests)


def _resolve(requests: list[Request]) -> None:
    for request in requests:
        future = request.future
        if future is None or future.done():
            continue
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.answer)
