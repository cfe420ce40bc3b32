"""The parent of worker processes. It never imports the user's code, so nothing the code does can stop it: it renews the leases of
its children while they live, notices at once when one dies, gives its jobs back, and starts another."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from dray.errors import DrayError, StoreError
from dray.maintenance.rounds import Maintenance
from dray.model.duration import human
from dray.model.ids import to_text
from dray.observe.log import get_logger, set_up
from dray.store.open import open_store
from dray.store.protocol import Store
from dray.store.values import CancelOrder
from dray.worker.exits import CANNOT_START, how_it_ended
from dray.worker.keeper import Keeper
from dray.worker.settings import WorkerSettings
from dray.worker.ward import Child
from dray.worker.window import Window

log = get_logger("supervisor")

CANNOT_RUN = 2  # the exit status of a worker that cannot start
DEAF_AFTER = 60.0  # seconds without a successful look for jobs, with room for some, after which a worker is restarted
STOPPED_FOR = 15.0  # seconds that a child may be stopped (SIGSTOP) before it is killed if it holds up the store
STEADY_AFTER = 1.0  # seconds that a child must have lived for the next to be started at once
MAX_BACKOFF = 30.0  # seconds between attempts to start a child that does not get ready
AFTER_GRACE = 10.0  # seconds beyond the grace for stop hooks, resources and the last writes
REPLACED = 5.0  # seconds between looks at whether the store's file is still the one that is open
ONE_WISH = 0.2  # seconds in which a second signal is the same wish: a shell sends Ctrl-C to all, and some parents pass it on


class Supervisor:
    """Runs `settings.processes` worker processes until TERM or INT."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.children: list[Child] = []
        self.store: Store | None = None
        self.keeper: Keeper | None = None
        self._maintenance: Maintenance | None = None
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self.stopping = False
        self._stop_heard = 0.0
        self._code = 0
        self._backoff = 0.0
        self.worked = False  # whether a child has ever got ready
        self._file: tuple[int, int] | None = None
        self._look_at_file = 0.0
        self._window = Window(self)
        self._url: str | None = None  # of the store, as soon as a child has told
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
        try:
            self._window.open()
        except DrayError as error:
            print_error(str(error))
            return CANNOT_RUN
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

    @property
    def leads(self) -> bool:
        """Whether it is this one that does for all what is done for all."""
        return self._maintenance is not None and self._maintenance.leads

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
        self._window.turn()
        if self._reload.is_set():
            self._reload.clear()
            self._restart("the code has changed")
        now = time.monotonic()
        for number, at in list(self._start_at.items()):
            if not self.stopping and now >= at:
                del self._start_at[number]
                self._spawn(number)

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [1.0] + [at - now for at in self._start_at.values()]
        return max(0.0, min(times))

    # -- children

    def _spawn(self, number: int) -> None:
        try:
            child = Child(number, self.settings)
        except OSError as error:
            log.error("a worker process could not be started: %s", error)
            self._start_again(number)
            return
        self.children.append(child)
        self._selector.register(child.line.connection, selectors.EVENT_READ, child)

    def _hear(self, child: Child) -> None:
        child.hear()
        if child.hung_up:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(child.line.connection)
        self.worked = self.worked or child.started
        self._url = child.url or self._url
        if self._url is not None and self.store is None:
            self._open(self._url)

    def _open(self, url: str) -> None:
        try:
            self.store = open_store(url, migrate=False)
        except DrayError as error:
            log.warning("%s Trying again.", error)  # with the next pulse of the child
            return
        self._file = file_of(self.store)
        name = f"{socket.gethostname()}-{os.getpid()}"
        self.keeper = Keeper(self.store, self._living, self._order, self._expelled, self._renewed)
        self.keeper.service.start()
        self._maintenance = Maintenance(self.store, name)
        self._maintenance.start()

    def _living(self) -> dict[int, float]:
        """The nodes whose leases are to be renewed. One that is stopped does not live: others should have its jobs."""
        return {child.node: child.look_age for child in list(self.children) if child.node is not None and not child.stopped()}

    def _order(self, node: int, order: CancelOrder) -> None:
        for child in list(self.children):
            if child.node == node:
                child.line.say(cancel=[order.seq, order.claim, order.reason])

    def _renewed(self) -> None:
        for child in list(self.children):
            child.line.say(renewed=True)

    def _expelled(self, node: int) -> None:
        for child in list(self.children):
            if child.node == node:
                child.line.say(expelled=node)

    def _reap(self) -> None:
        for child in list(self.children):
            code = child.process.poll()
            if code is None:
                continue
            while not child.hung_up and child.hear():
                pass  # what it said last
            self._hear(child)
            self._window.buried(child, died=not self.stopping and not child.leaving and not child.left)
            self.children.remove(child)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(child.line.connection)
            self._after_death(child, code)
            child.close()

    def _after_death(self, child: Child, code: int) -> None:
        if not child.left and child.node is not None and self.store is not None:
            self._give_back(self.store, child.node, child, code)
        if self.stopping:
            return
        if code == CANNOT_START and not child.started:
            print_error(child.cannot)
            if self.settings.reload:
                log.warning("waiting for the code to change")
                self._start_at[child.number] = float("inf")
                return
            if not self.worked:
                self._code = CANNOT_RUN
                self._stop()
                return
        if child.leaving:
            self._start_at[child.number] = 0.0
        elif child.started:
            # The jobs of the dead one wait for its successor. One that has been ready was killed, or ran into a job that kills: the
            # crash budget takes care of those.
            lived = time.monotonic() - child.born
            self._backoff = 0.0
            self._start_at[child.number] = time.monotonic() + (0.0 if lived > STEADY_AFTER else 0.25)
        else:
            self._start_again(child.number)

    def _start_again(self, number: int) -> None:
        """After a child that did not get ready: the first time at once, then less and less often."""
        delay, self._backoff = self._backoff, min(MAX_BACKOFF, max(0.5, self._backoff * 2))
        if delay:
            log.warning("starting another worker process in %s", human(delay))
        self._start_at[number] = time.monotonic() + delay

    def _give_back(self, store: Store, node: int, child: Child, code: int) -> None:
        cause = how_it_ended(code)
        started = child.board.started()
        if child.leaving:
            log.info("worker %d (process %d) has ended with %d jobs unfinished, which go back", node, child.pid, len(started))
            started = set()  # we ended it ourselves: nothing counts
        else:
            log.error("worker %d (process %d) has died: %s; %d jobs were running", node, child.pid, cause, len(started))
        burial = threading.Thread(target=self._bury, args=(store, node, cause, started), daemon=True)
        burial.start()
        self._burials = [other for other in self._burials if other.is_alive()] + [burial]

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
                log.warning("job %s was lost with worker %d (%s) and is %s", to_text(move.id), node, cause, move.state)
            return

    def _check_health(self) -> None:
        now = time.monotonic()
        self._check_file(now)
        for child in self.children:
            if child.leave_by is not None and now > child.leave_by:
                log.error("worker %s (process %d) does not end; killing it", child.node, child.pid)
                child.signal(signal.SIGKILL)
            elif child.look_age > DEAF_AFTER and not child.leaving and self._store_answers(now):
                log.error(
                    "worker %s (process %d) lives but has not got through to the store for %s; restarting it", child.node,
                    child.pid, human(child.look_age),
                )  # fmt: skip
                child.stop(self.settings.grace + AFTER_GRACE)
            if not child.stopped():
                child.stopped_since = None
            elif child.stopped_since is None:
                child.stopped_since = now
                log.warning("worker %s (process %d) has been stopped by a signal; its lease is not renewed", child.node, child.pid)
            elif now - child.stopped_since > STOPPED_FOR and self._store_held_up():
                log.error("the stopped process %d holds the store's lock; killing it", child.pid)
                child.signal(signal.SIGKILL)

    def _check_file(self, now: float) -> None:
        """Whoever has a file open goes on with it after it has been moved or deleted, without anybody else seeing that."""
        if self.store is None or now < self._look_at_file:
            return
        self._look_at_file = now + REPLACED
        found = file_of(self.store)
        if found != self._file and not self.stopping:
            log.error("the store %s has been moved, deleted or replaced; going on with what is there now", self.store.where)
            self._close_store()
            self._restart("their store is another one")

    def _store_answers(self, now: float) -> bool:
        """Whether we get through to the store ourselves, and have done so for a while: if not, then another worker process would
        not either, and after an outage this one has to be given time to get through again."""
        keeper = self.keeper
        well = keeper is not None and keeper.since is not None and now - keeper.since > DEAF_AFTER / 2
        return keeper is not None and well and now - keeper.last < DEAF_AFTER / 2

    def _store_held_up(self) -> bool:
        """Whether somebody keeps the store from being written: a process stopped in the middle of a transaction does."""
        if self.store is None:
            return False
        probe = getattr(self.store, "held_up", None)
        return bool(probe and probe())

    # -- stopping and restarting

    def _stop(self) -> None:
        if self.stopping:
            if time.monotonic() < self._stop_heard + ONE_WISH:
                return
            log.warning("asked to stop again: ending at once")
            self._code = 1
            for child in self.children:
                child.stop(0.0)
                child.signal(signal.SIGKILL)
            return
        self._stop_heard = time.monotonic()
        self.stopping = True
        self._window.stopping(self.settings.grace + AFTER_GRACE)
        self._start_at.clear()
        if self.children:
            log.info("stopping: no more jobs are taken, what runs has %s to end", human(self.settings.grace))
        for child in self.children:
            child.stop(self.settings.grace + AFTER_GRACE)

    def _restart(self, why: str) -> None:
        if self.stopping:
            return
        log.info("restarting the worker processes: %s", why)
        for number, at in list(self._start_at.items()):
            if at == float("inf"):
                self._start_at[number] = 0.0
        for child in self.children:
            child.stop(self.settings.grace + AFTER_GRACE)

    def _end(self) -> None:
        deadline = time.monotonic() + 10.0
        for burial in self._burials:
            burial.join(max(0.0, deadline - time.monotonic()))
        self._close_store()
        self._window.close()
        if self._code == 0:
            log.info("stopped")

    def _close_store(self) -> None:
        if self._maintenance is not None:
            self._maintenance.stop()
        if self.keeper is not None:
            self.keeper.service.stop()
        if self.store is not None:
            with contextlib.suppress(StoreError):
                self.store.close()
        self.store, self._url = None, None

    def _watch_files(self) -> None:
        from dray.worker.reload import watch

        folders = {Path.cwd()}
        place = self.settings.target.partition(":")[0]
        if place.endswith(".py") and (folder := Path(place).resolve().parent).is_dir():
            folders.add(folder)
        for folder in folders:
            threading.Thread(target=watch, args=(folder, self._reload.set), name="dray-reload", daemon=True).start()


def file_of(store: Store) -> tuple[int, int] | None:
    """Which file is where the store is kept; None if there is none."""
    path = getattr(store, "path", None)
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def print_error(text: str | None) -> None:
    """What the user has to read, once, without a frame around it."""
    if text:
        sys.stderr.write(f"dray: {text}\n")
        sys.stderr.flush()


def run(settings: WorkerSettings) -> int:
    """`dray worker`: run until TERM or INT; the exit status."""
    set_up(settings.log_level, settings.log_format)
    return Supervisor(settings).run()


def become(settings: WorkerSettings) -> NoReturn:
    """Turn this process into a supervisor that has loaded nothing else: it lives long, and what the command line needed would
    stay in its memory."""
    sys.stdout.flush()
    sys.stderr.flush()
    data = msgspec.json.encode(settings).decode()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "dray.worker.supervisor", data])


def main(data: str) -> int:
    """`python -m dray.worker.supervisor SETTINGS_JSON`; see `become`."""
    return run(msgspec.json.decode(data, type=WorkerSettings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
