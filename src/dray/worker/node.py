"""A node: one worker process's share of the work, put together. Who renews its lease is the caller's business."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from dray.app import Dray
from dray.events import Event
from dray.model.duration import human
from dray.model.job import Executor as Kind
from dray.observe.counted import Counted
from dray.observe.log import get_logger
from dray.observe.sending import counter_of
from dray.store.values import Ask, NodeEntry
from dray.version import __version__
from dray.worker.attempt import Attempts
from dray.worker.board import Board
from dray.worker.completer import Completer
from dray.worker.dump import dump
from dray.worker.executors.aio import AsyncExecutor
from dray.worker.executors.base import Executor
from dray.worker.executors.processes import ProcessExecutor
from dray.worker.executors.threads import ThreadExecutor
from dray.worker.executors.wire import Hello
from dray.worker.intake import Intake
from dray.worker.pump import Pump
from dray.worker.queues import parse_queues
from dray.worker.resources import Resources
from dray.worker.runner import Runner
from dray.worker.settings import WorkerSettings
from dray.worker.tally import Tally
from dray.worker.transaction import check_all

log = get_logger("node")


class Node:
    """Runs jobs of `app` on `loop` (which is running), in threads and in child processes.

    `start` and `stop` are coroutines on that loop; `leave` is the last thing. `wait_for_threads`: whether `stop` waits for
    functions in threads however long they take (an embedded worker must; a process that ends anyway need not). `stop`: ends the
    worker when an operator asks for that; without it, no more jobs are taken.
    """

    def __init__(
        self, app: Dray, settings: WorkerSettings, loop: asyncio.AbstractEventLoop, *, board: Board | None = None,
        supervisor: int | None = None, listeners: tuple[Callable[[Event], None], ...] = (), wait_for_threads: bool = True,
        stop: Callable[[], object] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.loop = loop
        self.store = app.store
        check_all(app)
        self._supervisor = supervisor
        self._wait_for_threads = wait_for_threads
        self._stop = stop
        self.queues = parse_queues(settings.queues)
        self.resources = Resources(app.resources)
        self._listener = self.store.listen("work", "orders")
        self._listener.only(None if self.queues.weights is None else list(self.queues.weights))
        self.completer = Completer(self._listener.wake)
        self.runner = Runner(app, self.completer, board, listeners)
        self.leases_lost = 0
        attempts = Attempts(app, self.resources, self.completer, self._number)
        self._coroutines = AsyncExecutor(settings.concurrency, loop, attempts, self.runner)
        executors: dict[Kind, Executor] = {
            Kind.ASYNC: self._coroutines,
            Kind.THREAD: ThreadExecutor(settings.concurrency, attempts, self.runner),
        }
        if self.store.shared:
            executors[Kind.PROCESS] = ProcessExecutor(
                settings.pool_size, self._hello, self.runner, self.completer,
                prewarm=any(task.plain.executor == Kind.PROCESS for task in app.tasks.values()), node=self._number,
                enqueued=self._enqueued,
            )  # fmt: skip
        else:  # a store in memory: other processes could not see it
            executors[Kind.PROCESS] = ThreadExecutor(settings.pool_size, attempts, self.runner)
        self.runner.executors = executors
        self.executors = executors
        self.intake = Intake(executors, self.queues, frozenset(app.tasks))
        self.tally = Tally(self.running, sum(executor.slots for executor in executors.values()), self._children)
        self.pump = Pump(
            self.store, self.intake, self.runner, self.completer, self._listener, self._enter, self.cancel, self._expelled,
            self.tally, self._asked,
        )  # fmt: skip

    @property
    def id(self) -> int:
        """The node's id in the store; another one after it has been expelled."""
        return self.pump.node

    @property
    def name(self) -> str:
        """For people."""
        return self.settings.name or f"{socket.gethostname()}-{os.getpid()}"

    def info(self) -> dict[str, Any]:
        """What it says of itself to the store."""
        return {
            "queues": None if self.queues.weights is None else list(self.queues.weights),
            "strict": self.queues.strict,
            "tasks": sorted(self.app.tasks),
            "slots": {kind.word: executor.slots for kind, executor in self.executors.items()},
            "version": __version__,
            "python": sys.version.split()[0],
            "target": self.settings.target,
            "supervisor": self._supervisor,
        }

    async def start(self) -> None:
        """Call the start hooks, put the schedules of the code into the store, and begin to take jobs."""
        for hook in self.app.start_hooks:
            await call(hook)
        await self.loop.run_in_executor(None, self.app.schedules.put_declared)
        for executor in self.executors.values():
            executor.start()
        self.pump.start()

    async def stop(self, grace: float) -> None:
        """Take no more jobs, let what runs end for `grace` seconds, interrupt the rest, and leave."""
        self.pump.stop_claiming()
        await self.loop.run_in_executor(None, self._say_stopping)
        for executor in self.executors.values():
            self.runner.give_back(executor.take_back())
        if not await self._quiet(grace):
            left = self.running()
            log.warning("still running after %s, and now interrupted: %d", human(grace), left)
            for executor in self.executors.values():
                executor.interrupt()
            if not await self._quiet(2.0) and self._wait_for_threads:
                log.warning("waiting for functions in threads, which cannot be ended from outside")
                await self._quiet(float("inf"))
        for hook in self.app.stop_hooks:
            try:
                await call(hook)
            except Exception:
                log.exception("a stop hook raised")
        await self.loop.run_in_executor(None, self._stop_executors)
        for close in (self.resources.aclose, self.resources.close, self.store.transactions.aclose):
            try:
                await call(close)
            except Exception:
                log.exception("a resource raised while it was closed")
        await self.loop.run_in_executor(None, self.pump.stop)

    def leave(self) -> None:
        """After `stop`: tell the store that this node is no more. What it should still have goes back uncounted."""
        try:
            self.store.run(self.store.plans.leave, self.id)
        except Exception as error:
            log.warning("could not leave the store, others will notice within the lease: %s", error)
        self._listener.close()

    def expel(self, node: int) -> None:
        """The store has given up `node`, which this was or still takes itself to be."""
        self.pump.expel(node)

    def running(self) -> int:
        """How many jobs are here."""
        return sum(executor.busy() for executor in self.executors.values())

    def cancel(self, seq: int, claim: int, reason: str) -> None:
        """Cancel a job that is here."""
        for executor in self.executors.values():
            executor.cancel(seq, claim, reason)

    def describe(self, task: asyncio.Task[Any]) -> str | None:
        """Which job an asyncio task runs, for people; None if it runs none."""
        context = self._coroutines.find(task)
        return None if context is None else f"job {context.id} of {context.task}"

    def claim_age(self) -> float:
        """Seconds since it last looked for jobs with success; 0 while it has no room for any, or takes none."""
        room = any(executor.room() > 0 for executor in self.executors.values())
        return time.monotonic() - self.pump.last_look if room and self.pump.claiming else 0.0

    def counted(self) -> Counted:
        """What it has counted since it began."""
        counter = counter_of(self.app.observers)
        return Counted(
            self.tally.totals(), {} if counter is None else counter.totals(), self.tally.stale, self.tally.store_errors,
            self.leases_lost, slots={kind.word: executor.slots for kind, executor in self.executors.items()},
            busy={kind.word: min(executor.busy(), executor.slots) for kind, executor in self.executors.items()},
            claim_age=self.claim_age(),
        )  # fmt: skip

    # --

    def _number(self) -> int | None:
        return self.pump.node

    def _enqueued(self, counts: dict[str, int]) -> None:
        counter = counter_of(self.app.observers)
        if counter is not None:
            counter.more(counts)

    def _asked(self, ask: Ask) -> None:
        """What an operator wants of this process."""
        log.info("worker %d was asked by an operator: %s", self.id, ask.what)
        if ask.what == "dump":
            said = dump(self.loop, self.describe)
        elif ask.what == "stop":
            said = "stopping"
        else:
            said = f"this worker does not know {ask.what!r}"
        self.store.run(self.store.plans.answer, self.id, ask.number, said)
        if ask.what == "stop":
            (self._stop or self.pump.stop_claiming)()

    def _children(self) -> list[int]:
        pool = self.executors[Kind.PROCESS]
        return pool.pids() if isinstance(pool, ProcessExecutor) else []

    async def _quiet(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.running() or not self.pump.idle:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def _say_stopping(self) -> None:
        try:
            self.store.run(self.store.plans.stopping, self.id)
        except Exception as error:
            log.warning("could not tell the store that this worker stops: %s", error)

    def _stop_executors(self) -> None:
        for executor in self.executors.values():
            executor.stop()

    def _enter(self) -> int:
        entry = NodeEntry(self.name, socket.gethostname(), os.getpid(), self.info())
        return self.store.run(self.store.plans.enter, entry)

    def _expelled(self) -> None:
        """Our jobs were given to others: end what can be ended, so that nothing goes on beside itself."""
        self.leases_lost += 1
        for executor in self.executors.values():
            self.runner.give_back(executor.take_back())
            executor.interrupt()

    def _hello(self) -> Hello:
        modules = sorted({task.module for task in self.app.tasks.values()})
        # An embedded worker has no target, and leaves logging to the application that it is in.
        log_setup = (self.settings.log_level, self.settings.log_format) if self.settings.target else None
        return Hello(
            self.settings.target or app_target(self.app), self.store.url, modules, sys.path[:], log_setup,
            counter_of(self.app.observers) is not None,
        )  # fmt: skip


def app_target(app: Dray) -> str:
    """Where another process finds this app: `module:name`, or a file if it is the script that runs."""
    main = sys.modules.get("__main__")
    if app.module == "__main__" and getattr(main, "__spec__", None) is None and getattr(main, "__file__", None):
        return os.path.abspath(str(main.__file__))  # type: ignore[union-attr]
    from dray.task import main_module_name

    module = sys.modules.get(app.module)
    name = next((name for name, value in vars(module).items() if value is app), None) if module else None
    where = main_module_name() if app.module == "__main__" else app.module
    return f"{where}:{name}" if name else where


async def call(hook: Callable[[], Any]) -> None:
    """Call a hook of either colour."""
    found = hook()
    if inspect.isawaitable(found):
        await found
