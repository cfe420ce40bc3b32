"""A real worker inside the caller's process: for tests, scripts and small applications."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from dray.app import Dray
from dray.errors import ConfigurationError, WorkerError
from dray.events import Event
from dray.maintenance.rounds import Maintenance
from dray.model.duration import seconds
from dray.observe.counted import Counted
from dray.worker.blocked import LoopWatch
from dray.worker.keeper import Keeper
from dray.worker.node import Node
from dray.worker.queues import parse_queues
from dray.worker.settings import WorkerSettings


class EmbeddedWorker:
    """`with app.worker(): …` runs it on an event loop in a thread of its own, `async with app.worker(): …` on the caller's loop.

    On leaving, it takes no more jobs, finishes what runs within `grace`, and gives the rest back. Its lease is renewed by a
    thread: a function that keeps the interpreter lock for 15 seconds loses its claim. `dray worker` has no such limit.
    """

    def __init__(
        self, app: Dray, *, queues: str | None = None, concurrency: int = 10, process_slots: int | None = None,
        grace: float | str = 30.0, name: str | None = None, listeners: tuple[Callable[[Event], None], ...] = (),
    ) -> None:
        for what, value in (("concurrency", concurrency), ("process_slots", process_slots or 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{what} of the worker is {value!r}: use a whole number of at least 1.")
        parse_queues(queues)
        self.app = app
        self.settings = WorkerSettings(
            queues=queues, concurrency=concurrency, process_slots=process_slots, grace=seconds(grace, "grace"), name=name
        )
        self._listeners = listeners
        self.node: Node | None = None
        self._keeper: Keeper | None = None
        self._maintenance: Maintenance | None = None
        self._watch: LoopWatch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._last = Counted()

    def counted(self) -> Counted:
        """What it has counted since it began; see `dray.observe.metrics`."""
        node, keeper = self.node, self._keeper
        if node is None:
            return self._last
        found = node.counted()
        found.processes = {"ready": 1}
        found.lease_age = None if keeper is None else time.monotonic() - keeper.last
        return found

    # -- on the caller's loop

    async def __aenter__(self) -> EmbeddedWorker:
        if self.node is not None:
            raise WorkerError("This worker is running already; make another with app.worker().")
        loop = asyncio.get_running_loop()
        self.node = await loop.run_in_executor(None, lambda: Node(self.app, self.settings, loop, listeners=self._listeners))
        node = self.node
        self._keeper = Keeper(
            node.store,
            lambda: {node.id: time.monotonic() - node.pump.last_look},
            lambda _, order: node.cancel(order.seq, order.claim, order.reason),
            node.expel,
        )
        self._maintenance = Maintenance(node.store, node.name, self._listeners)
        self._watch = LoopWatch(loop, node.describe)
        try:
            await node.start()
        except BaseException:
            self.node = None
            await loop.run_in_executor(None, node.leave)
            raise
        self._keeper.service.start()
        self._maintenance.start()
        self._watch.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        node, self.node = self.node, None
        if node is None:
            return
        loop = asyncio.get_running_loop()
        assert self._maintenance is not None
        assert self._keeper is not None
        assert self._watch is not None
        await loop.run_in_executor(None, self._maintenance.stop)
        await node.stop(self.settings.grace)
        self._last.add(node.counted(), alive=False)
        await loop.run_in_executor(None, self._keeper.service.stop)
        await loop.run_in_executor(None, node.leave)
        await loop.run_in_executor(None, self._watch.stop)

    # -- on a loop of its own

    def __enter__(self) -> EmbeddedWorker:
        if self._thread is not None:
            raise WorkerError("This worker is running already; make another with app.worker().")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dray-loop", daemon=True)
        self._thread.start()
        try:
            self._on_loop(self.__aenter__())
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._on_loop(self.__aexit__())
        finally:
            self._end_loop()

    def run(self) -> None:
        """Work until TERM or INT; a second one ends the process at once."""
        stop = threading.Event()

        def on_signal(number: int, _: object) -> None:
            if stop.is_set():
                os._exit(128 + number)  # asked twice: at once; what runs is rescued when the lease has run out
            stop.set()

        ours = threading.current_thread() is threading.main_thread()
        old: dict[int, Any] = {}
        if ours:
            for number in (int(signal.SIGTERM), int(signal.SIGINT)):
                old[number] = signal.signal(number, on_signal)
        try:
            with self:
                stop.wait()
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _on_loop(self, what: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _end_loop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return

        async def tidy() -> None:
            await loop.shutdown_asyncgens()
            await loop.shutdown_default_executor()

        asyncio.run_coroutine_threadsafe(tidy(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
