"""Throw-away Redis and Valkey servers, and namespaces of their own in shared ones."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from servers import ServerFailed, account, ports, session
from servers.redis_binaries import binaries_of, default_kind

PATIENCE = 30.0  # seconds for a start, a stop, or for several servers to agree
BUS = 10_000  # how far from its port a cluster node before 7.0 puts its second one

_numbers = itertools.count(1)


class Process(ABC):
    """A server program on a port of its own, running when the constructor returns; what Redis and Sentinel have in common.

    Raises Unavailable if this machine lacks the kind, ServerFailed if it does not start.
    """

    role = "server"
    arguments: tuple[str, ...] = ()

    def __init__(self, kind: str | None, folder: Path, password: str = "") -> None:
        self._program = binaries_of(kind or default_kind())
        self.kind = self._program.kind
        self.host = "127.0.0.1"
        self.port = self._free_port()
        self.password = password
        self.folder = folder / f"{self.kind}-{self.role}-{next(_numbers)}"
        self.folder.mkdir(mode=0o755)
        account.give(self.folder)
        self.log = self.folder / "log"
        self._conf = self.folder / "conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None
        self._make()
        self._start_on_some_port()

    @property
    def version(self) -> tuple[int, ...]:
        """The three numbers of its version; Valkey began at 7.2.5 as the successor of Redis 7.2.4."""
        return self._program.version

    @property
    def running(self) -> bool:
        """Whether its process lives, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id. Raises ServerFailed if it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise self._failure("does not run")
        return self._process.pid

    @property
    def url(self) -> str:
        """How to reach it, database 0."""
        return f"redis://{f':{self.password}@' if self.password else ''}{self.host}:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client of ours whose answers are bytes."""
        if self._client is None:
            self._client = redis.Redis.from_url(self.url, socket_timeout=10, retry=Retry(NoBackoff(), 1))
        return self._client

    def command(self, *words: str | bytes | float) -> Any:
        """Run one command; its answer as redis-py has it, in bytes."""
        execute: Callable[..., Any] = self.client.execute_command
        return execute(*words)

    def kill_clients(self) -> int:
        """CLIENT KILL of all connections, replicas and ourselves excepted; how many there were."""
        return sum(int(self.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")) for kind in ("normal", "pubsub"))

    def start(self, within: float = PATIENCE) -> None:
        """Start on the same port and wait until PING is answered, all data loaded; nothing happens if it runs."""
        if self.running:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program.path, self._conf, *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.folder, env=account.environment(self._program.env), start_new_session=True, **account.who(),
            )  # fmt: skip
        # Not by `account.spawn`: a wrong configuration ends a server so soon that it may have no birth left to note.
        if born := session.birth(self._process.pid):
            session.record("process", self._process.pid, born, int(signal.SIGKILL))
        end = time.monotonic() + within
        while not self._answers():
            if self._process.poll() is not None:
                raise self._failure(f"ended with status {self._process.returncode} instead of starting")
            if time.monotonic() > end:
                self.stop(kill=True)
                raise self._failure(f"was not ready within {within:.0f} s")
            time.sleep(0.002)

    def stop(self, kill: bool = False) -> None:
        """End it with SIGTERM, or with SIGKILL, and wait for its end; nothing happens if it does not run.

        After SIGTERM the append-only file is flushed and, from 7.0 on, replicas get up to 10 s to catch up.
        """
        if self._client is not None:
            self._client.close()
        if self._process is None or not self.running:
            return
        helpers = session.children(self._process.pid)  # that write a snapshot or a new append-only file
        if not kill:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.stop(kill=True)
                raise self._failure(f"did not stop within {PATIENCE:.0f} s and was killed") from None
        self._process.kill()
        self._process.wait()
        for pid in helpers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        session.wait_gone(helpers, session.PATIENCE)

    def restart(self, kill: bool = False) -> None:
        """Stop and start again, on the same port."""
        self.stop(kill)
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and are even accepted by the kernel, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT; nothing happens if it is not paused."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove the files; it is of no use afterwards."""
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._release_port()

    # Inside

    @abstractmethod
    def _make(self) -> None:
        """Write the configuration, for the port as it is now."""

    def _write(self, lines: Iterable[str]) -> None:
        self._conf.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        account.give(self._conf)

    def _free_port(self) -> int:
        return ports.free_port()

    def _release_port(self) -> None:
        ports.release_port(self.port)

    def _start_on_some_port(self) -> None:
        for attempt in range(5):
            try:
                self.start()
            except ServerFailed:
                # A program outside of the tests may have taken the port since it was looked at.
                if attempt == 4 or "in use" not in self.log.read_text(encoding="utf-8", errors="replace"):
                    self.close()
                    raise
                self._release_port()
                self.port, self._client = self._free_port(), None
                self._make()
            else:
                break

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                answer = probe.recv(100)
        except OSError:
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH", b"-MASTERDOWN")) and self.running

    def _failure(self, what: str) -> ServerFailed:
        log = self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""
        return ServerFailed(f"{self.kind} ({self.role}) on port {self.port} {what}. Its log ends:\n{log}")


class Server(Process):
    """A single server of one of `redis_binaries.KINDS` (None: the default kind); see `Process`.

    durable: True keeps an append-only file that is synced every second, in the session's folder; False keeps nothing, and
        a restart finds no data. settings={"appendfsync": "always"} and so on say otherwise.
    listen: one more address to listen on besides 127.0.0.1 (that of a `hosts.Network`).
    settings: directives of redis.conf that win over those set here; True and False are yes and no. `requirepass` gets into
        the URL.
    cluster: whether it is to be a node of a Redis Cluster.
    """

    def __init__(
        self, kind: str | None = None, *, durable: bool = True, listen: str | None = None,
        settings: Mapping[str, object] | None = None, cluster: bool = False,
    ) -> None:  # fmt: skip
        self.durable = durable
        self._cluster = cluster
        self._listen = listen
        self._settings = dict(settings or {})
        folder = session.folder() if durable else session.memory_folder()
        super().__init__(kind, folder, str(self._settings.get("requirepass", "")))

    def configure(self, settings: Mapping[str, object]) -> None:
        """Change directives of redis.conf; they take effect at the next start."""
        self._settings.update(settings)
        self._make()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL with a namespace that nobody else has; its keys are removed at the end if the server runs."""
        with namespace_of(self.url, lambda: [self.client] if self.running else []) as url:
            yield url

    def _make(self) -> None:
        settings: dict[str, object] = {
            "port": self.port, "bind": f"{self.host} {self._listen}" if self._listen else self.host, "dir": self.folder,
            "protected-mode": False, "daemonize": False, "save": '""', "appendonly": self.durable, "appendfsync": "everysec",
            "repl-diskless-sync-delay": 0,
        }  # fmt: skip
        if self.version >= (7,):
            settings["enable-debug-command"] = True  # before, everybody may DEBUG
        if self._cluster:
            settings |= {"cluster-enabled": True, "cluster-config-file": "nodes.conf", "cluster-node-timeout": 2000}
        words = {True: "yes", False: "no"}
        given = {**settings, **self._settings}
        self._write(f"{name} {words[value] if isinstance(value, bool) else value}" for name, value in given.items())

    def _free_port(self) -> int:
        """For a node of a cluster, one whose neighbour for the bus is free too: only from 7.0 on it can be told another."""
        while True:
            port = ports.free_port()
            if not self._cluster:
                return port
            if ports.reserve(f"port-{port + BUS}"):
                with socket.socket() as probe, suppress(OSError):
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((self.host, port + BUS))
                    return port
                ports.release_port(port + BUS)
            ports.release_port(port)

    def _release_port(self) -> None:
        super()._release_port()
        if self._cluster:
            ports.release_port(self.port + BUS)


@contextmanager
def namespace_of(url: str, clients: Callable[[], Iterable[redis.Redis]]) -> Iterator[str]:
    """`url` with a new namespace; at the end the keys that have it as their hash tag are removed from all of `clients`."""
    name = "t" + uuid.uuid4().hex[:12]  # always as long, so that no name begins another
    try:
        yield f"{url}?namespace={name}"
    finally:
        for client in clients():
            pipeline = client.pipeline(transaction=False)  # key by key: they may lie in several slots of a cluster
            for key in client.scan_iter(match=f"*{{{name}*", count=1000):
                pipeline.unlink(key)
            pipeline.execute()


def await_that(ready: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Ask until something is so; a server that cannot answer yet counts as no. Raises ServerFailed if it is not in time."""
    end = time.monotonic() + seconds
    problem: Exception | None = None
    while time.monotonic() < end:
        try:
            if ready():
                return
            problem = None
        except (redis.RedisError, OSError) as error:
            problem = error
        time.sleep(0.01)
    raise ServerFailed(f"waited {seconds:.0f} s in vain: {what}") from problem
