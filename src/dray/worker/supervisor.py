"""The parent of worker processes. It never imports the user's code, so nothing the code does can stop it: it renews the leases of
its children while they live, notices at once when one dies, gives its jobs back, and starts another."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from dray.errors import DrayError, StoreError
from dray.maintenance.rounds import Maintenance
from dray.model.duration import human
from dray.observe.log import get_logger, set_up
from dray.store.open import open_store
from dray.store.protocol import Store
from dray.store.values import CancelOrder
from dray.worker.board import Board
from dray.worker.exits import CANNOT_START, how_it_ended
from dray.worker.keeper import Keeper
from dray.worker.line import Line
from dray.worker.settings import WorkerSettings

log = get_logger("supervisor")

DEAF_AFTER = 60.0  # seconds without a successful look for jobs, with room for some, after which a worker is restarted
STOPPED_FOR = 15.0  # seconds that a child may be stopped (SIGSTOP) before it is killed if it holds up the store
STEADY_AFTER = 10.0  # seconds after which a child is taken to run well
MAX_BACKOFF = 30.0
ONE_WISH = 0.2  # seconds in which a second signal is the same wish: a shell sends Ctrl-C to all, and some parents pass it on


class Child:
    """One worker process, as the supervisor sees it."""

    def __init__(self, number: int, settings: WorkerSettings) -> None:
        self.number = number
        ours, theirs = socket.socketpair()
        self.board = Board()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dray.worker.process", str(theirs.fileno()), str(self.board.fd)],
            pass_fds=[theirs.fileno(), self.board.fd], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self.line = Line(ours)
        self.line.say(settings=msgspec.to_builtins(settings))
        self.born = time.monotonic()
        self.node: int | None = None
        self.look_age = 0.0
        self.started = False
        self.left = False
        self.cannot: str | None = None
        self.leaving = False  # told to stop
        self.stopped_since: float | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stopped(self) -> bool:
        """Whether it has been stopped (SIGSTOP, a debugger): it lives, but does nothing. Linux only."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] in ("T", "t")

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """Free what belonged to it."""
        self.line.close()
        self.board.close()


class Supervisor:
    """Runs `settings.processes` worker processes until TERM or INT."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.children: list[Child] = []
        self.store: Store | None = None
        self._keeper: Keeper | None = None
        self._maintenance: Maintenance | None = None
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._stopping: float | None = None  # when it has to be over, by the steady clock
        self._stop_heard = 0.0
        self._code = 0
        self._backoff = 0.0
        self._start_at: dict[int, float] = {}  # number of a child that is missing: when to start it
        self._burials: list[threading.Thread] = []
        self._reload = threading.Event()

    def run(self) -> int:
        """The exit status: 0 after a clean stop, 2 if the worker cannot start, 1 after a forced end."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        os.set_blocking(read, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for known in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(known, self._on_signal)
        self._selector.register(read, selectors.EVENT_READ, None)
        for number in range(self.settings.processes):
            self._spawn(number)
        if self.settings.reload:
            self._watch_files()
        try:
            while self.children or self._start_at:
                self._turn(read)
        finally:
            self._end()
        return self._code

    def _on_signal(self, number: int, _: object) -> None:
        self._signals.append(number)

    def _turn(self, wake: int) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            else:
                self._hear(key.data)
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._restart("asked to by SIGHUP")
        self._reap()
        self._check_health()
        if self._reload.is_set():
            self._reload.clear()
            self._restart("the code has changed")
        now = time.monotonic()
        for number, at in list(self._start_at.items()):
            if self._stopping is None and now >= at:
                del self._start_at[number]
                self._spawn(number)

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [1.0] + [at - now for at in self._start_at.values()]
        if self._stopping is not None:
            times.append(self._stopping - now)
        return max(0.0, min(times))

    # -- children

    def _spawn(self, number: int) -> None:
        child = Child(number, self.settings)
        child.line.connection.setblocking(False)
        self.children.append(child)
        self._selector.register(child.line.connection, selectors.EVENT_READ, child)

    def _hear(self, child: Child) -> None:
        messages = child.line.hear()
        if messages is None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(child.line.connection)
            return
        for message in messages:
            if "hello" in message:
                self._open(message["hello"])
            if "node" in message:
                child.node = message["node"]
            if "pulse" in message:
                child.look_age = message["pulse"]
            child.started = child.started or "started" in message
            child.left = child.left or "left" in message
            child.cannot = message.get("cannot", child.cannot)

    def _open(self, url: str) -> None:
        if self.store is not None:
            return
        self.store = open_store(url, migrate=False)
        name = f"{socket.gethostname()}-{os.getpid()}"
        self._keeper = Keeper(self.store, self._living, self._order)
        self._keeper.service.start()
        self._maintenance = Maintenance(self.store, name)
        self._maintenance.start()

    def _living(self) -> dict[int, float]:
        """The nodes whose leases are to be renewed. One that is stopped does not live: others should have its jobs."""
        return {child.node: child.look_age for child in list(self.children) if child.node is not None and not child.stopped()}

    def _order(self, node: int, order: CancelOrder) -> None:
        for child in list(self.children):
            if child.node == node:
                child.line.say(cancel=[order.seq, order.claim, order.reason])

    def _reap(self) -> None:
        for child in list(self.children):
            code = child.process.poll()
            if code is None:
                continue
            while child.line.connection.fileno() >= 0 and (messages := child.line.hear()):
                for message in messages:  # what it said last
                    child.node = message.get("node", child.node)
                    child.left = child.left or "left" in message
                    child.cannot = message.get("cannot", child.cannot)
            self.children.remove(child)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(child.line.connection)
            self._after_death(child, code)
            child.close()

    def _after_death(self, child: Child, code: int) -> None:
        if not child.left and child.node is not None and self.store is not None:
            cause = how_it_ended(code)
            started = child.board.started()
            if self._stopping is not None and child.leaving:
                started = set()  # we ended it ourselves: nothing counts
            log.error("worker %d (process %d) has died: %s; %d jobs were running", child.node, child.pid, cause, len(started))
            burial = threading.Thread(target=self._bury, args=(self.store, child.node, cause, started), daemon=True)
            burial.start()
            self._burials.append(burial)
        if self._stopping is not None:
            return
        lived = time.monotonic() - child.born
        if code == CANNOT_START and not child.started:
            print_error(child.cannot)
            if not self.settings.reload:
                self._code = 2
                self._stop()
                return
            log.warning("waiting for the code to change")
            self._start_at[child.number] = float("inf")
            return
        if child.leaving or (child.started and lived > STEADY_AFTER):
            self._backoff = 0.0
        # The first replacement comes at once: the jobs of the dead one wait for it.
        delay, self._backoff = self._backoff, min(MAX_BACKOFF, max(0.5, self._backoff * 2))
        if delay:
            log.warning("starting another worker process in %s", human(delay))
        self._start_at[child.number] = time.monotonic() + delay

    def _bury(self, store: Store, node: int, cause: str, started: set[tuple[int, int]]) -> None:
        pause = 0.05
        while True:
            try:
                moves = store.run(store.plans.bury, node, cause, started)
            except DrayError as error:
                log.warning("could not give back the jobs of worker %d yet: %s", node, error)
                time.sleep(pause)
                pause = min(5.0, pause * 2)
                continue
            for move in moves:
                log.warning("job %d was lost with worker %d (%s) and is %s", move.seq, node, cause, move.state)
            return

    def _check_health(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.look_age > DEAF_AFTER and not child.leaving:
                log.error(
                    "worker %s (process %d) lives but has not got through to the store for %s; restarting it", child.node,
                    child.pid, human(child.look_age),
                )  # fmt: skip
                child.leaving = True
                child.signal(signal.SIGTERM)
            if not child.stopped():
                child.stopped_since = None
            elif child.stopped_since is None:
                child.stopped_since = now
                log.warning("worker %s (process %d) has been stopped by a signal; its lease is not renewed", child.node, child.pid)
            elif now - child.stopped_since > STOPPED_FOR and self._store_held_up():
                log.error("the stopped process %d holds the store's lock; killing it", child.pid)
                child.signal(signal.SIGKILL)

    def _store_held_up(self) -> bool:
        """Whether somebody keeps the store from being written: a process stopped in the middle of a transaction does."""
        if self.store is None:
            return False
        probe = getattr(self.store, "held_up", None)
        return bool(probe and probe())

    # -- stopping and restarting

    def _stop(self) -> None:
        if self._stopping is not None:
            if time.monotonic() < self._stop_heard + ONE_WISH:
                return
            log.warning("asked to stop again: ending at once")
            self._code = 1
            for child in self.children:
                child.leaving = True
                child.signal(signal.SIGKILL)
            return
        self._stop_heard = time.monotonic()
        self._stopping = self._stop_heard + self.settings.grace + 10.0
        self._start_at.clear()
        if self.children:
            log.info("stopping: no more jobs are taken, what runs has %s to end", human(self.settings.grace))
        for child in self.children:
            child.leaving = True
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)

    def _restart(self, why: str) -> None:
        if self._stopping is not None:
            return
        log.info("restarting the worker processes: %s", why)
        for number, at in list(self._start_at.items()):
            if at == float("inf"):
                self._start_at[number] = 0.0
        for child in self.children:
            child.leaving = True
            child.signal(signal.SIGTERM)

    def _end(self) -> None:
        deadline = time.monotonic() + 10.0
        for burial in self._burials:
            burial.join(max(0.0, deadline - time.monotonic()))
        if self._maintenance is not None:
            self._maintenance.stop()
        if self._keeper is not None:
            self._keeper.service.stop()
        if self.store is not None:
            with contextlib.suppress(StoreError):
                self.store.close()
        if self._code == 0:
            log.info("stopped")

    def _watch_files(self) -> None:
        from dray.worker.reload import watch

        threading.Thread(target=watch, args=(Path.cwd(), self._reload.set), name="dray-reload", daemon=True).start()


def print_error(text: str | None) -> None:
    """What the user has to read, once, without a frame around it."""
    if text:
        sys.stderr.write(f"dray: {text}\n")
        sys.stderr.flush()


def run(settings: WorkerSettings) -> int:
    """`dray worker`: run until TERM or INT; the exit status."""
    set_up(settings.log_level, settings.log_format)
    return Supervisor(settings).run()


def main(data: str) -> int:
    """`python -m dray.worker.supervisor SETTINGS_JSON`: the same in a process that has loaded nothing else."""
    return run(msgspec.json.decode(data, type=WorkerSettings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
