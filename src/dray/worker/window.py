"""What the outside sees of a supervisor: an HTTP server, systemd, a file that is touched. Each only if it is wanted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dray.errors import ConfigurationError
from dray.model.duration import human
from dray.observe.counted import Counted, total
from dray.observe.health import Check, HealthServer
from dray.observe.log import get_logger
from dray.observe.notify import Notifier
from dray.store.protocol import Store
from dray.worker.keeper import Keeper
from dray.worker.settings import WorkerSettings
from dray.worker.ward import Child

log = get_logger("health")

TURNED = 30.0  # seconds: a supervisor turns at least once a second
LOOKED = 30.0  # seconds since the last successful look for jobs after which a worker is not ready
LEASE = 15.0  # seconds for which a lease is good
TOUCH = 5.0  # seconds between touches of the file


class Seen(Protocol):
    """What is looked at. Read by other threads than the supervisor's."""

    settings: WorkerSettings
    children: list[Child]
    store: Store | None
    keeper: Keeper | None
    stopping: bool
    worked: bool  # whether a child has ever been ready

    @property
    def leads(self) -> bool: ...


class Window:
    """Opened before the first child is started. `turn` is called at each turn of the supervisor, `buried` with each child that has
    ended."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._past = Counted()
        self._buried: Child | None = None
        self._lock = threading.Lock()
        self._turned = time.monotonic()
        self._touched = float("-inf")
        self._notifier = Notifier()
        self._server: HealthServer | None = None
        settings = seen.settings
        self._file = None if settings.health_file is None else Path(settings.health_file)
        self._touch_failed = False

    def open(self) -> None:
        """Begin to answer. Raises ConfigurationError if that is not possible."""
        settings = self._seen.settings
        if settings.health_port is None:
            return
        self._server = HealthServer(settings.health_host, settings.health_port, self)
        self._server.start()
        log.info("health and metrics are at %s", self._server.url)
        try:
            from dray.observe.metrics import prometheus

            prometheus()
        except ConfigurationError as error:
            log.warning("/metrics will have none: %s", error)

    def close(self) -> None:
        """No more answers; the file is taken away."""
        if self._server is not None:
            self._server.stop()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def turn(self) -> None:
        """The supervisor is not stuck."""
        now = self._turned = time.monotonic()
        if self._notifier.wanted:
            status = self._status()
            if self._seen.worked and self._seen.store is not None:
                self._notifier.ready(status)
            self._notifier.alive(status)
        if self._file is not None and now >= self._touched + TOUCH and all(check.ok for check in self.ready()):
            self._touched = now
            self._touch(self._file)

    def stopping(self, within: float) -> None:
        """It is about to end."""
        self._notifier.stopping(within)

    def buried(self, child: Child, *, died: bool) -> None:
        """A child has ended: what it has counted stays. `died`: nobody had told it to end. Called while it is still among the
        children, so that it is counted once at any moment."""
        with self._lock:
            self._buried = child
            self._past.add(child.counted, alive=False)
            self._past.deaths += died

    def counted(self) -> Counted:
        """Of all children together, those that have ended included."""
        with self._lock:
            children = [child for child in self._seen.children if child is not self._buried]
            found = total([child.counted for child in children], self._past)
        found.processes = {"starting": 0, "ready": 0, "stopping": 0}
        for child in children:
            found.processes["stopping" if child.leaving else "ready" if child.started else "starting"] += 1
        ages = [self._age(child) for child in children if child.started and not child.leaving]
        found.claim_age = max(ages, default=None)
        keeper = self._seen.keeper
        found.lease_age = None if keeper is None or not ages else time.monotonic() - keeper.last
        return found

    # -- the protocol `Probe`

    def live(self) -> Sequence[Check]:
        """Whether the supervisor still turns."""
        return [_age("supervisor", time.monotonic() - self._turned, TURNED, "turned")]

    def started(self) -> Sequence[Check]:
        """Whether a worker process has been ready, and the store been open."""
        worked = self._seen.worked
        return [Check("worker", worked, f"{'a' if worked else 'no'} worker process has been ready"), self._store()]

    def ready(self) -> Sequence[Check]:
        """Whether jobs are taken."""
        seen, now = self._seen, time.monotonic()
        if seen.stopping:
            return [Check("worker", False, "it stops, and takes no more jobs")]
        able = [child for child in list(seen.children) if child.started and not child.leaving and not child.stopped()]
        said = f"{len(able)} of {seen.settings.processes} worker processes are ready"
        checks = [Check("worker", bool(able), said), self._store()]
        keeper = seen.keeper
        if keeper is not None:
            checks.append(_age("lease", now - keeper.last, LEASE, "renewed"))
        if able:
            checks.append(_age("claim", min(self._age(child) for child in able), LOOKED, "looked for jobs"))
        return checks

    def metrics(self, whole: bool | None, accept: str) -> tuple[bytes, str]:
        """Of the supervisor's children; and of the whole store if that is wanted, or if it is this one that does what is done for
        all: then Prometheus finds it once."""
        from dray.observe.metrics import text

        seen = self._seen
        tell = seen.leads if whole is None else whole
        return text(self.counted, lambda: seen.store if tell else None, accept)

    # --

    def _store(self) -> Check:
        store = self._seen.store
        return Check("store", store is not None, "not opened yet" if store is None else store.where)

    @staticmethod
    def _age(child: Child) -> float:
        """Seconds since it last looked for jobs with success, as far as we know; a moment of silence is no news."""
        silence = time.monotonic() - child.heard
        return child.look_age + (silence if silence > 3.0 else 0.0)

    def _status(self) -> str:
        children = list(self._seen.children)
        ready = sum(child.started and not child.leaving for child in children)
        busy = sum(child.busy for child in children)
        return f"{ready} of {self._seen.settings.processes} worker processes ready, {busy} jobs here"

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
            self._touch_failed = False
        except OSError as error:
            if not self._touch_failed:
                log.error("the health file %s cannot be touched: %s", file, error.strerror)
            self._touch_failed = True


def _age(name: str, seconds: float, most: float, word: str) -> Check:
    return Check(name, seconds < most, f"{word} {human(round(seconds, 1))} ago, at most {human(most)}")
