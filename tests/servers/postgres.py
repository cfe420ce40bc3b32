"""Throw-away PostgreSQL clusters, and empty databases in them for a few milliseconds each."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import sql

from servers import ServerFailed, account, ports, session
from servers.binaries import binaries_of

Mode = Literal["smart", "fast", "immediate"]
USER = "dray"  # a superuser; everybody on the machine's own networks is trusted
SIGNALS: dict[Mode, signal.Signals] = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
PATIENCE = 30.0  # seconds for a start or a stop
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all samenet trust\n"

_numbers = itertools.count(1)
_pristine = threading.Lock()


class Cluster:
    """A cluster of one major version in the session's folder, on a port of its own, running when the constructor returns.

    durable: False turns fsync and full_page_writes off and keeps the files in memory if there is room: much faster, and
        safe against everything but a crash of the machine.
    listen: one more address to listen on besides 127.0.0.1 (that of a `hosts.Network`).
    settings: parameters of postgresql.conf that win over those set here.
    Raises Unavailable if this machine lacks the version, ServerFailed if the server does not start.
    """

    def __init__(
        self, version: int, *, durable: bool = True, listen: str | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        self.version = version
        self.host = "127.0.0.1"
        self.port = ports.free_port()
        self.durable = durable
        self._binaries = binaries_of(version)
        self.folder = (session.folder() if durable else session.memory_folder()) / f"postgres-{version}-{next(_numbers)}"
        self.folder.mkdir()
        account.give(self.folder)
        self.log = self.folder / "log"
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._admin: psycopg.Connection[Any] | None = None
        self._names = itertools.count(1)
        self._templates: dict[str, str] = {}
        subprocess.run(["cp", "-Rp", pristine(version), self._data], check=True)
        (self._data / "pg_hba.conf").write_text(ACCESS, encoding="ascii")
        self.configure(
            listen_addresses=f"{self.host},{listen}" if listen else self.host, unix_socket_directories=self.folder,
            max_connections=300, shared_buffers="64MB", fsync=durable, full_page_writes=durable, synchronous_commit="on",
            timezone="UTC", log_timezone="UTC", log_line_prefix="%m [%p] %d ",
        )  # fmt: skip
        if not durable:
            self.configure(max_wal_size="256MB")  # it is memory
        self.configure(**(settings or {}))
        self._start_on_some_port()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the postmaster. Raises ServerFailed if it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise self._failure("does not run")
        return self._process.pid

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """How to reach a database over TCP."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def configure(self, **settings: object) -> None:
        """Append parameters to postgresql.conf, where the last one wins; they take effect at the next start."""
        words = {True: "on", False: "off"}
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            for name, value in settings.items():
                text = words[value] if isinstance(value, bool) else str(value).replace("'", "''")
                conf.write(f"{name} = '{text}'\n")

    # Starting and stopping

    def start(self) -> None:
        """Start on the same port and wait until connections are accepted; nothing happens if it runs."""
        if self.running:
            return
        command: list[str | Path] = [self._binaries / "postgres", "-D", self._data, "-p", str(self.port)]
        with self.log.open("ab") as log:
            self._process = account.spawn(command, log=log, stop=signal.SIGQUIT, cwd=self.folder)
        end = time.monotonic() + PATIENCE
        while not self._ready():
            if self._process.poll() is not None:
                raise self._failure(f"ended with status {self._process.returncode} instead of starting")
            if time.monotonic() > end:
                self._process.kill()
                raise self._failure(f"was not ready within {PATIENCE:.0f} s")
            time.sleep(0.002)

    def stop(self, mode: Mode = "fast") -> None:
        """Stop as `pg_ctl stop -m` does and wait for the end; nothing happens if it does not run.

        smart waits for the clients to go; fast rolls their transactions back; immediate is a crash that cleans up.
        """
        self._forget_admin()
        if self._process is None or not self.running:
            return
        self._process.send_signal(SIGNALS[mode])
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failure(f"did not stop ({mode}) within {PATIENCE:.0f} s and was killed") from None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start again, on the same port."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """kill -9 of the postmaster; returns when its backends have noticed and gone, so that `start` can follow."""
        self._forget_admin()
        if self._process is None or not self.running:
            return
        orphans = session.children(self._process.pid)
        self._process.kill()
        self._process.wait()
        for pid in session.wait_gone(orphans, session.PATIENCE):  # those deep in a computation notice at its end only
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        session.wait_gone(orphans, session.PATIENCE)

    def close(self) -> None:
        """Stop at once and remove the files; the cluster is of no use afterwards."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
        ports.release_port(self.port)

    # Databases

    def execute(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement as superuser in the database `postgres`, outside a transaction; its rows."""
        return self._execute(sql.SQL(query), parameters)

    def create_database(self, template: str = "template1") -> str:
        """Make a database like `template`; its name."""
        name = f"test_{next(self._names)}"
        # Copying files needs a checkpoint: quicker without fsync, much slower with it.
        strategy = sql.SQL("wal_log" if self.durable else "file_copy")
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}")
        self._execute(words.format(sql.Identifier(name), sql.Identifier(template), strategy))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and cut those off who still use it; nothing happens if it is not there."""
        # FORCE looks every 100 ms only whether they are gone, also for a client that has closed and whose backend just ends.
        self._cut_off(name)
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self, name: str, prepare: Callable[[str], object]) -> None:
        """Have a database prepared for `fresh(name)`: `prepare(url)` is called once, in an empty database.

        Nothing happens if the name is known. Whoever is still connected when `prepare` returns is cut off.
        """
        with self._lock:
            if name in self._templates:
                return
            database = self.create_database()
            try:
                prepare(self.url(database))
            except BaseException:
                self.drop_database(database)
                raise
            self._execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(database)))
            self._cut_off(database)
            self._templates[name] = database

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """The URL of a new database, a clone of the template or empty; dropped at the end if the server runs."""
        name = self.create_database("template1" if template is None else self._templates[template])
        try:
            yield self.url(name)
        finally:
            if self.running:
                self.drop_database(name)

    # Inside

    def _execute(self, query: sql.SQL | sql.Composed, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._admin is None or self._admin.broken or self._admin.closed:
                self._admin = psycopg.connect(self.url(), autocommit=True, application_name="tests")
            cursor = self._admin.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _cut_off(self, database: str) -> None:
        """End the sessions in a database and wait until they are gone."""
        end = time.monotonic() + session.PATIENCE
        while self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database):
            if time.monotonic() > end:
                raise self._failure(f"does not end the sessions in the database {database}")
            time.sleep(0.001)

    def _forget_admin(self) -> None:
        with self._lock:
            if self._admin is not None:
                self._admin.close()
                self._admin = None

    def _start_on_some_port(self) -> None:
        for attempt in range(5):
            try:
                self.start()
            except ServerFailed:
                # A program outside of the tests may have taken the port since it was looked at.
                if attempt == 4 or "could not bind" not in self.log.read_text(encoding="utf-8", errors="replace"):
                    raise
                ports.release_port(self.port)
                self.port = ports.free_port()
            else:
                break

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="ascii").split("\n")
        except FileNotFoundError:
            return False
        # The file of a killed postmaster is still there; it names another process.
        return self._process is not None and lines[0] == str(self._process.pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def _failure(self, what: str) -> ServerFailed:
        log = self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""
        return ServerFailed(f"PostgreSQL {self.version} on port {self.port} {what}. Its log ends:\n{log}")


def pristine(version: int) -> Path:
    """A data folder as initdb leaves it, made once a session and copied for each cluster. Raises Unavailable, ServerFailed."""
    with _pristine:
        made = session.folder() / f"initdb-{version}"
        if not made.exists():
            home = account.give(_mkdir(session.folder() / f"initdb-{version}-making"))
            command = [
                str(binaries_of(version) / "initdb"), "-D", str(home / "data"), "--username", USER, "--auth", "trust",
                "--encoding", "UTF8", "--locale", "C.UTF-8" if os.uname().sysname == "Linux" else "C", "--no-sync",
            ]  # fmt: skip
            done = subprocess.run(
                command, cwd=home, env=account.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                **account.who(),
            )  # fmt: skip
            if done.returncode != 0:
                shutil.rmtree(home)
                raise ServerFailed(f"initdb of PostgreSQL {version} ended with status {done.returncode}:\n{done.stdout[-2000:]}")
            home.rename(made)
        return made / "data"


def _mkdir(path: Path) -> Path:
    path.mkdir(mode=0o755)
    return path
