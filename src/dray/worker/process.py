"""The worker process: imports the user's code and runs jobs, under a supervisor that keeps its lease.

Started as `python -m dray.worker.process LINE_FD BOARD_FD`. It dies without harm at any moment; when its supervisor dies it
takes no more jobs, finishes what it has, keeping its lease itself, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

import msgspec

from dray.app import Dray
from dray.errors import ConfigurationError, DrayError
from dray.observe.counted import Teller
from dray.observe.log import get_logger, set_up
from dray.observe.sending import count
from dray.target import load_app
from dray.worker.blocked import LoopWatch
from dray.worker.board import Board
from dray.worker.exits import CANNOT_START
from dray.worker.keeper import Keeper
from dray.worker.line import Line
from dray.worker.node import Node
from dray.worker.settings import WorkerSettings

log = get_logger("worker")

TELL = 5.0  # seconds between reports of what has been counted
PULSE = 1.0  # seconds between reports to the supervisor
SILENCE = 8.0  # seconds without a word from the supervisor, which renews every 5, after which the lease of 15 is renewed here
SWITCH = 0.001  # seconds: how long a thread waits for the interpreter while another computes; 5 ms is Python's default


class WorkerProcess:
    """One worker process."""

    def __init__(self, app: Dray, settings: WorkerSettings, line: Line, board: Board) -> None:
        self.app = app
        self.settings = settings
        self.line = line
        self.board = board
        self.node: Node | None = None
        self._stop: asyncio.Event | None = None
        self._orphan = False
        self._renewed = time.monotonic()  # when the supervisor last said that it had renewed the lease
        self._ended = threading.Event()
        # Only where somebody may ask the supervisor for metrics.
        self._teller = None if settings.health_port is None else Teller()
        self._tell_at = 0.0
        if self._teller is not None:
            count(app)

    async def run(self) -> None:
        """Work until told to stop."""
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        try:
            node = Node(
                self.app, self.settings, loop, board=self.board, supervisor=os.getppid(), wait_for_threads=False,
                stop=self._stop_all,
            )  # fmt: skip
        except DrayError as error:
            self.line.say(cannot=str(error))
            raise SystemExit(CANNOT_START) from None
        self.node = node
        self.line.say(hello=node.store.url, node=node.id)
        watch = LoopWatch(loop, node.describe)
        threading.Thread(target=self._report, name="dray-pulse", daemon=True).start()
        threading.Thread(target=self._listen, args=(loop,), name="dray-line", daemon=True).start()
        try:
            await node.start()
        except Exception:
            log.exception("a start hook raised, or the schedules could not be stored; the worker cannot start")
            raise SystemExit(CANNOT_START) from None
        watch.start()
        self.line.say(started=True)
        log.info(
            "worker %d is ready: process %d, queues %s, %d tasks", node.id, os.getpid(), node.queues.describe(), len(self.app.tasks)
        )
        await self._stop.wait()
        log.info("worker %d stops, %d jobs are running", node.id, node.running())
        await node.stop(self.settings.grace)
        self._ended.set()
        if self._teller is not None:
            self._tell(node)
        for observer in self.app.observers:
            await loop.run_in_executor(None, observer.flush)
        # A function in a thread that would not end is still running, and must not be given back before this process has ended: the
        # supervisor does that. An orphan does it itself, as the very last thing.
        if self._orphan or not node.running():
            node.leave()
            self.line.say(left=True)
        end(0)

    def _stop_all(self) -> None:
        """Let the supervisor end all its worker processes, as TERM would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(os.getppid(), signal.SIGTERM)

    def _report(self) -> None:
        node = self.node
        assert node is not None
        keeper = Keeper(
            node.store, lambda: {node.id: 0.0}, lambda _, order: node.cancel(order.seq, order.claim, order.reason), node.expel
        )
        while not self._ended.wait(PULSE):
            if not self._orphan and time.monotonic() - self._renewed > SILENCE:
                # The supervisor lives, as the line shows, but does nothing: somebody stopped it. Our jobs are not to be taken for
                # lost because of that.
                keeper.renew()
            self.line.say(pulse=round(node.claim_age(), 3), node=node.id, busy=node.running())
            if self._teller is not None and time.monotonic() >= self._tell_at:
                self._tell(node)

    def _tell(self, node: Node) -> None:
        """Tell the supervisor what has been counted, if anything has changed."""
        assert self._teller is not None
        self._tell_at = time.monotonic() + TELL
        changes = self._teller.changes(node.counted())
        if changes is not None:
            self.line.say(counted=changes)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        node = self.node
        assert node is not None
        while (messages := self.line.hear()) is not None:
            for message in messages:
                if "cancel" in message:
                    node.cancel(*message["cancel"])
                if "renewed" in message:
                    self._renewed = time.monotonic()
                if "expelled" in message:
                    node.expel(message["expelled"])
        if self._ended.is_set() or self._stop is None:
            return
        self._orphan = True
        log.warning("the supervisor is gone; this worker finishes what it has and ends")
        keeper = Keeper(
            node.store, lambda: {node.id: 0.0}, lambda _, order: node.cancel(order.seq, order.claim, order.reason), node.expel
        )
        keeper.service.start()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._stop.set)


def main(line_fd: int, board_fd: int) -> int:
    """The process's life; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    faulthandler.enable()
    line = Line(socket.socket(fileno=line_fd))
    first = line.hear()
    if not first:
        return 0
    settings = msgspec.convert(first[0]["settings"], WorkerSettings)
    set_up(settings.log_level, settings.log_format)
    # While code changes by the second, a compiled file may be taken for today's: Python compares whole seconds, and sizes.
    sys.dont_write_bytecode = sys.dont_write_bytecode or settings.reload
    with contextlib.suppress(AttributeError):
        signal.signal(signal.SIGUSR2, lambda *_: faulthandler.dump_traceback(all_threads=True))
    try:
        app = load_app(settings.target)
        if settings.url is not None:
            app.configure(url=settings.url)
        if not app.store.shared:
            raise ConfigurationError(
                f"The store of {settings.target} is in memory, where no worker process can see it; use a file (sqlite:///dray.db), "
                "or an embedded worker (`with app.worker(): …`)."
            )
    except DrayError as error:
        line.say(cannot=str(error))
        return CANNOT_START
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()  # what is loaded now stays; the collector need not look at it again
    worker = WorkerProcess(app, settings, line, Board(board_fd))
    runner_options: dict[str, Any] = {"loop_factory": loop_factory(settings.loop)}
    with asyncio.Runner(**runner_options) as runner:
        runner.run(worker.run())
    return 0


def end(status: int) -> NoReturn:
    """End the process. Functions in threads that would not end must not keep it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)


def loop_factory(choice: str) -> Any:
    """uvloop's where it is installed and not refused; None is asyncio's own."""
    if choice == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if choice == "uvloop":
            log.warning("uvloop is not installed; asyncio's own loop is used. Install dray[uvloop].")
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    try:
        status = main(int(sys.argv[1]), int(sys.argv[2]))
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        log.exception("the worker process ends because of an unexpected error")
        status = 1
    end(status)
