"""PgBouncer in transaction mode in front of a cluster."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from servers import ServerFailed, account, ports, session
from servers.binaries import pgbouncer
from servers.postgres import USER, Cluster

PATIENCE = 10.0  # seconds for the start

_numbers = itertools.count(1)


class PgBouncer:
    """A running PgBouncer; every database of the cluster can be reached through it, as user `dray`, without a password.

    pool_size: server connections per database. settings: options of the section [pgbouncer] that win over those set here.
    Raises Unavailable if this machine has no PgBouncer, ServerFailed if it does not start.
    """

    def __init__(self, cluster: Cluster, *, pool_size: int = 5, settings: Mapping[str, object] | None = None) -> None:
        self._bouncer = pgbouncer()
        self.cluster = cluster
        self.host = "127.0.0.1"
        self.port = ports.free_port()
        self.folder = session.folder() / f"pgbouncer-{next(_numbers)}"
        self.folder.mkdir(mode=0o755)
        account.give(self.folder)
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        options: dict[str, object] = {
            "listen_addr": self.host, "listen_port": self.port, "unix_socket_dir": "", "pool_mode": "transaction",
            "default_pool_size": pool_size, "max_client_conn": 500, "auth_type": "trust", "auth_file": self.folder / "users",
            "admin_users": USER, "ignore_startup_parameters": "extra_float_digits", **(settings or {}),
        }  # fmt: skip
        lines = ["[databases]", f"* = host={cluster.host} port={cluster.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        (self.folder / "ini").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "users").write_text(f'"{USER}" ""\n', encoding="utf-8")
        self.start()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """How to reach a database of the cluster through PgBouncer."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def show(self, what: LiteralString) -> list[dict[str, Any]]:
        """The rows of the console's SHOW command: pools, clients, servers, stats, config."""
        with psycopg.connect(self.url("pgbouncer"), autocommit=True, row_factory=dict_row) as console:
            return console.execute("SHOW " + what).fetchall()

    def start(self) -> None:
        """Start on the same port and wait until connections are accepted; nothing happens if it runs."""
        if self.running:
            return
        program, libraries = self._bouncer
        with self.log.open("ab") as log:
            self._process = account.spawn(
                [program, self.folder / "ini"], log=log, stop=signal.SIGTERM, cwd=self.folder,
                env={"LD_LIBRARY_PATH": str(libraries)} if libraries else None,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                text = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise ServerFailed(f"PgBouncer on port {self.port} does not start. Its log ends:\n{text}")
            time.sleep(0.002)

    def stop(self) -> None:
        """Stop at once, cutting every connection; nothing happens if it does not run."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop and remove the files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        ports.release_port(self.port)

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return self.running
