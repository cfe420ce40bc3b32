"""The processes of the demonstration: started on free ports, known to be ready, logged, stopped whatever happens."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dray.demo import processes, settings
from dray.demo.child import READY

PATIENCE = 20.0  # seconds


class ServiceFailed(Exception):
    """A process of the demonstration did not start."""


def failed(name: str) -> ServiceFailed:
    """Why a process did not start: the last line that it logged."""
    path = settings.folder("logs") / f"{name}.log"
    last = path.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was logged"]
    return ServiceFailed(f"the process {name} did not start: {last[0]} (see {path})")


@dataclass
class Service:
    """One started process. `port` is 0 for the worker, which has none."""

    name: str
    process: subprocess.Popen[str]
    port: int = 0

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill_all(self) -> int:
        """kill -9 for the process and everything below it, at once; gives how many there were."""
        pids = [self.process.pid, *processes.below(self.process.pid)]
        processes.kill(*pids)
        self.process.wait()
        self.sweep()
        return len(pids)

    def sweep(self) -> None:
        """kill -9 for what its end has left over: a worker's child finishes its jobs when its supervisor was killed."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # it leads a group of its own, whose number lives as long as that
        except (ProcessLookupError, PermissionError):  # the latter is how macOS says it
            return

    def stop(self) -> None:
        """End it in its own way: a server by closing its standard input, the worker by TERM; after 10 s by force."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        elif self.alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill_all()
        self.sweep()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Services:
    """What is running. Used in a `with` block, at whose end, reached by whatever way, nothing runs any more."""

    def __init__(self) -> None:
        self.running: list[Service] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        try:
            for service in reversed(self.running):
                service.stop()
        finally:
            signal.signal(signal.SIGINT, before)

    def mailbox(self) -> Service:
        """The SMTP server; the processes started afterwards find it by the environment."""
        service = self._server("mailbox", str(settings.folder("mail")))
        os.environ[settings.SMTP_PORT] = str(service.port)
        return service

    def partner(self, seed: int) -> Service:
        """The partner's API; the processes started afterwards find it by the environment."""
        service = self._server("partner", "0", str(seed))
        os.environ[settings.PARTNER_PORT] = str(service.port)
        return service

    def web(self, port: int) -> Service:
        """The site, on `port` (0: any free one)."""
        return self._server("web", str(port))

    def worker(self) -> Service:
        """Dray's worker, by the command line that everybody uses."""
        command = [sys.executable, "-m", "dray.cli.main", "worker", "dray.demo.jobs:app", "--concurrency", "16"]
        with (settings.folder("logs") / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True, start_new_session=True,
                cwd=settings.data(),  # where no dray.toml of the user's lies
            )
        return self._keep(Service("worker", process))

    def _server(self, name: str, *arguments: str) -> Service:
        command = [sys.executable, "-m", f"dray.demo.{name}", *arguments]
        with (settings.folder("logs") / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        service = self._keep(Service(name, process))
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(PATIENCE) else ""
        if not line.startswith(READY):
            raise failed(name)
        service.port = int(line.split()[-1])
        return service

    def _keep(self, service: Service) -> Service:
        self.running.append(service)
        return service
