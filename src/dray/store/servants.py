"""Threads that carry out what coroutines ask for, so that the event loop goes on; a few of them do for any number of coroutines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from dray.errors import StoreUnavailable
from dray.store.plan import Plan
from dray.store.requests import Request, answer_futures, finish

T = TypeVar("T")

SERVANTS = 2
TOGETHER = 100  # requests of coroutines that are carried out as one


class Servants:
    """`run(began, verb, *args)` carries out one verb that was asked for at `began` (monotonic); what several coroutines `add` at
    once becomes one."""

    def __init__(self, run: Callable[..., Any], add: Callable[..., Plan[None]], where: str) -> None:
        self._run = run
        self._add = add
        self._where = where
        self.start()

    def start(self) -> None:
        """Begin anew, with nothing to do: also in the child of a process."""
        self._wanted: deque[tuple[float, Request]] = deque()  # and since when
        self._some = threading.Condition()
        self._servants = 0
        self._resting = 0
        self.closed = False

    async def ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """The answer of one verb. Raises StoreError."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._some:
            if self.closed:
                raise StoreUnavailable(f"The store {self._where} has been closed; open a new Dray() to use it again.")
            self._wanted.append((time.monotonic(), Request(verb, args, future)))
            if self._resting == 0 and self._servants < SERVANTS:
                self._servants += 1
                threading.Thread(target=self._serve, name="dray-store", daemon=True).start()
            self._some.notify()
        return await future

    def close(self) -> None:
        """Take nothing more; what has been asked for is still done."""
        with self._some:
            self.closed = True
            self._some.notify_all()

    def _serve(self) -> None:
        while True:
            with self._some:
                self._resting += 1
                while not self._wanted and not self.closed:
                    self._some.wait()
                self._resting -= 1
                if not self._wanted:
                    return
                batch = self._take_up()
            # Whoever waits for it no more: nothing has been done for him yet.
            batch = [(asked, request) for asked, request in batch if request.future is None or not request.future.cancelled()]
            if len(batch) > 1:
                self._serve_together(batch)
            else:
                self._serve_each(batch)

    def _take_up(self) -> list[tuple[float, Request]]:
        """The next request; if it enqueues, together with those behind it that do."""
        batch = [self._wanted.popleft()]
        while self._wanted and len(batch) < TOGETHER and all(r.verb == self._add for _, r in (batch[-1], self._wanted[0])):
            batch.append(self._wanted.popleft())
        return batch

    def _serve_together(self, batch: list[tuple[float, Request]]) -> None:
        requests = [request for _, request in batch]
        try:
            self._run(batch[0][0], self._add, [job for request in requests for job in request.args[0]])
        except StoreUnavailable as error:  # each has waited for long enough
            for request in requests:
                finish(request, error=error)
            answer_futures(requests)
        except Exception:  # one of them spoilt it: each for itself, so that only that one fails
            self._serve_each(batch)
        else:
            for request in requests:
                finish(request)
            answer_futures(requests)

    def _serve_each(self, batch: list[tuple[float, Request]]) -> None:
        for asked, request in batch:
            try:
                finish(request, self._run(asked, request.verb, *request.args))
            except Exception as error:
                finish(request, error=error)
            answer_futures([request])
